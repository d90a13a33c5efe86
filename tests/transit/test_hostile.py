"""Exceptions that misbehave: none is lost, none hangs, none breaks the process it is in."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from isoclient.transit import ExceptionStandIn, StandIn, pack_exception, unpack_exception
from isoclient.transit.bounds import text_of
from tests.transit.samples import (
    InitRaises,
    LoadsBadly,
    LyingReduce,
    NoAttributes,
    OddNew,
    OtherArguments,
    RaisingReduce,
    RaisingSetState,
    Text,
    Unspeakable,
    across,
    generator,
    refuse,
    without_init,
)


class HidesEverything(ValueError):
    __cause__ = __context__ = __traceback__ = args = property(refuse)
    __dict__ = property(refuse)
    __class__ = property(refuse)
    __module__ = 7  # type: ignore[assignment]


# Made in the test, as pytest looks at parameters.
COPIED: dict[str, Callable[[], BaseException]] = {
    "other arguments": lambda: OtherArguments(3, reason="because"),
    "__init__ raises": lambda: without_init(InitRaises, "text"),
    "odd __new__": lambda: OddNew("text", key="k"),
    "__reduce__ lies": lambda: LyingReduce("text"),
    "__reduce_ex__ raises": lambda: RaisingReduce("text"),
    "__setstate__ raises": lambda: RaisingSetState("text"),
    "no attributes": lambda: NoAttributes("text"),
}


@pytest.mark.parametrize("name", COPIED)
def test_constructors_and_pickle_hooks_do_not_matter(name: str) -> None:
    exc = COPIED[name]()

    arrived = across(exc)

    assert type(arrived) is type(exc)
    assert BaseException.__str__(arrived) == BaseException.__str__(exc)
    attributes = vars(BaseException)["__dict__"]
    assert attributes.__get__(arrived) == attributes.__get__(exc)


class UnspeakableStr(ValueError):
    __str__ = __repr__ = refuse


class BadStr(ValueError):
    def __str__(self) -> Any:
        return 7


@pytest.mark.parametrize("cls", [HidesEverything, UnspeakableStr, BadStr])
def test_an_exception_that_cannot_be_looked_at_arrives(cls: type[ValueError]) -> None:
    arrived = across(cls("text"))

    assert issubclass(type(arrived), ValueError)
    assert type(arrived).__name__ == cls.__name__


def test_a_text_that_is_not_quite_a_string() -> None:
    class Speaks:
        def __str__(self) -> str:
            return Text("said")

    assert text_of(Speaks(), str, limit=100) == "said"


UNSENDABLE: dict[str, Callable[[], object]] = {
    "lock": threading.Lock,
    "generator": generator,
    "unspeakable": Unspeakable,
    "text": lambda: Text("x"),
    "lambda": lambda: lambda: 0,
    "loads badly": LoadsBadly,
    "module": lambda: sys,
    "frame": sys._getframe,
}


@pytest.mark.parametrize("name", UNSENDABLE)
def test_a_value_that_cannot_be_sent_costs_itself_only(name: str) -> None:
    value = UNSENDABLE[name]()
    exc = ValueError("text", value)
    exc.value = value  # type: ignore[attr-defined]
    exc.nested = {"list": [1, value], "tuple": (value, 2)}  # type: ignore[attr-defined]
    exc.number = 1  # type: ignore[attr-defined]

    arrived = across(exc)

    attributes = vars(arrived)
    assert type(arrived).__name__ == "ValueError"
    assert isinstance(arrived, ValueError)
    assert attributes["number"] == 1
    assert (attributes["nested"]["list"][0], attributes["nested"]["tuple"][1]) == (1, 2)
    assert arrived.args[0] == "text"
    for stand_in in (arrived.args[1], attributes["value"], attributes["nested"]["list"][1]):
        assert isinstance(stand_in, StandIn)


def test_a_stand_in_for_a_value_shows_its_repr_and_its_simple_attributes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        exc = ValueError()
        exc.socket = ours  # type: ignore[attr-defined]
        exc.loads_badly = LoadsBadly()  # type: ignore[attr-defined]

        attributes = vars(across(exc))

        assert repr(attributes["socket"]) == repr(ours)
        assert attributes["loads_badly"].number == 7


def test_an_attribute_error_of_an_object_that_cannot_be_sent() -> None:
    class App:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    with pytest.raises(AttributeError) as caught:
        App().missing  # type: ignore[attr-defined] # noqa: B018
    arrived = across(caught.value)

    assert type(arrived) is AttributeError
    assert arrived.name == "missing"
    assert "App object at" in repr(arrived.obj)
    assert str(arrived) == "'App' object has no attribute 'missing'"


def test_a_text_made_from_an_attribute_that_cannot_be_sent_is_kept() -> None:
    class Busy(LookupError):
        def __str__(self) -> str:
            return f"locked: {self.args[0].locked()}"

    exc = Busy(threading.Lock())
    exc.code = 7  # type: ignore[attr-defined]
    arrived = across(exc)

    assert str(arrived) == "locked: False"
    assert isinstance(arrived, Busy)
    assert isinstance(arrived, ExceptionStandIn)
    assert vars(arrived)["code"] == 7
    (note,) = arrived.__notes__
    assert note.startswith(
        f"[isoclient] This stands in for {__name__}.{Busy.__qualname__}: its text needs an attribute"
    )


class OwnsADescriptor:
    """Pickles by default, and closes a descriptor when it is collected, as would its copy."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


def test_no_copy_is_made_of_an_object_that_is_finalized() -> None:
    reading, writing = os.pipe()
    exc = ValueError()
    exc.owner = OwnsADescriptor(writing)  # type: ignore[attr-defined]

    arrived = across(exc)

    os.write(writing, b"still open")
    assert os.read(reading, 100) == b"still open"
    assert vars(arrived)["owner"].descriptor == writing
    os.close(reading)


def test_a_value_that_contains_itself_and_a_lock() -> None:
    exc = ValueError()
    loop: list[object] = [threading.Lock()]
    loop += [loop, [loop] * 10, 1]
    exc.loop = loop  # type: ignore[attr-defined]

    attributes = vars(across(exc))

    assert isinstance(attributes["loop"][1], StandIn)
    assert attributes["loop"][3] == 1


def test_values_nested_too_deep_and_too_wide_are_cut() -> None:
    deep: Any = threading.Lock()
    for _ in range(5_000):
        deep = [deep]
    exc = ValueError()
    exc.deep = deep  # type: ignore[attr-defined]
    exc.wide = [threading.Lock()] * 100_000  # type: ignore[attr-defined]

    assert len(pack_exception(exc)) < 1_000_000
    assert type(across(exc)) is ValueError


def test_when_one_exception_used_up_what_can_be_sent_the_next_still_arrives() -> None:
    exc, cause = ValueError(), KeyError("key", threading.Lock())
    exc.wide = [threading.Lock()] * 9_980  # type: ignore[attr-defined]
    exc.__cause__ = cause
    cause.__cause__ = LookupError("text")
    vars(cause.__cause__).update({f"attribute {number}": threading.Lock() for number in range(200)})

    arrived = across(exc)

    assert len(vars(arrived)["wide"]) == 9_980
    assert type(arrived.__cause__) is KeyError
    assert str(arrived.__cause__) == str(cause)
    assert isinstance(arrived.__cause__.__cause__, LookupError)
    assert str(arrived.__cause__.__cause__) == "text"


def test_a_value_of_too_many_objects_is_not_sent() -> None:
    assert isinstance(across(ValueError([0] * 600_000)).args[0], StandIn)


class Undecodable(UnicodeDecodeError):
    def __init__(self, path: str) -> None:
        super().__init__("utf-8", b"ab\xff", 2, 3, "bad")
        self.args = (path,)


def test_arguments_that_the_builtin_class_does_not_take() -> None:
    exc = Undecodable("path")

    arrived = across(exc)

    assert type(arrived) is Undecodable
    assert str(arrived) == str(exc)
    assert (arrived.object, arrived.start, arrived.args) == (b"ab\xff", 2, ("path",))


def test_a_class_of_a_spawned_process_s_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    spawned = type("MainError", (ValueError,), {"__module__": "__mp_main__"})
    monkeypatch.setattr(sys.modules["__main__"], "MainError", spawned, raising=False)
    with monkeypatch.context() as child:
        child.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])
        packed = pack_exception(spawned("text"))

    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)  # an alias that multiprocessing makes

    assert type(unpack_exception(packed)) is spawned


class Endless:
    """Pickles for ever."""

    def __reduce__(self) -> Any:
        return list, (), None, iter(lambda: "item", None)


def test_a_pickle_without_end_is_ended() -> None:
    assert isinstance(across(ValueError(Endless())).args[0], StandIn)
