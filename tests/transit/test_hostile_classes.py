"""Classes of exceptions that misbehave, or that are not known where they arrive."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from isoclient.transit import ExceptionStandIn, pack_exception, unpack_exception
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


def test_a_class_unknown_to_the_test_has_a_stand_in_of_the_nearest_class() -> None:
    class Base(KeyError):
        pass

    def frame() -> None:
        class Unknown(Base):
            def __str__(self) -> str:
                return "its text"

        raise Unknown("key")

    with pytest.raises(Base) as caught:
        frame()
    caught.value.code = 7  # type: ignore[attr-defined]
    caught.value.add_note("its note")
    packed = pack_exception(caught.value)
    cls = type(caught.value)
    cls.__qualname__ = "Renamed"  # so that it is not found
    arrived = unpack_exception(packed)

    assert isinstance(arrived, Base)
    assert isinstance(arrived, ExceptionStandIn)
    assert not isinstance(arrived, cls)
    assert (str(arrived), arrived.args, vars(arrived)["code"]) == ("its text", ("key",), 7)
    assert type(arrived).__qualname__.endswith("frame.<locals>.Unknown")
    assert arrived.__notes__[0] == "its note"
    shown = "".join(traceback.format_exception(arrived))
    assert "in frame" in shown
    assert f"{__name__}.{type(arrived).__qualname__}: its text\nits note\n[isoclient] This stands in for" in shown


def test_a_module_that_cannot_be_imported_in_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = type("UnknownError", (OSError,), {"__module__": "app_only"})
    app_only = type(sys)("app_only")
    app_only.UnknownError = unknown  # type: ignore[attr-defined]
    with monkeypatch.context() as app:
        app.setitem(sys.modules, "app_only", app_only)
        packed = pack_exception(ExceptionGroup("group", [unknown(2, "no such file", "name")]))

    (arrived,) = unpack_exception(packed).exceptions  # type: ignore[attr-defined]

    assert isinstance(arrived, OSError)
    assert isinstance(arrived, ExceptionStandIn)
    assert arrived.stand_in_for == "app_only.UnknownError"
    assert arrived.stand_in_reason == "the test has not imported 'app_only', so app_only.UnknownError is unknown to it"
    assert (arrived.errno, arrived.filename) == (2, "name")
    assert str(arrived) == "[Errno 2] no such file: 'name'"


@pytest.mark.parametrize("hook", ["__init_subclass__", "__new__"])
def test_a_base_class_that_cannot_be_subclassed_is_skipped(hook: str) -> None:
    class Final(KeyError):
        def __str__(self) -> str:
            return f"{self.args[0].locked()}"

    exc = Final(threading.Lock())
    setattr(Final, hook, classmethod(refuse) if hook == "__init_subclass__" else refuse)
    arrived = across(exc)

    assert isinstance(arrived, KeyError)
    assert str(arrived) == "False"


class Meta(type):
    __subclasses__ = __hash__ = __eq__ = __getattribute__ = __instancecheck__ = refuse


def test_a_hostile_metaclass() -> None:
    class Hostile(ValueError, metaclass=Meta):
        pass

    arrived = across(Hostile("text"))

    assert isinstance(arrived, ValueError)
    assert str(arrived) == "text"


class NestedMeta(type):
    def __getattr__(cls, name: str) -> NoReturn:
        raise SystemExit(name)


def test_a_class_whose_name_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Namespace(metaclass=NestedMeta):
        pass

    class LocalError(ValueError):
        __qualname__ = "Namespace.LocalError"

    monkeypatch.setitem(globals(), "Namespace", Namespace)

    assert type(across(LocalError("text"))) is LocalError


def test_an_exception_that_cannot_be_packed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoclient.transit.exceptions._Packer.pack", refuse)
    arrived = across(OtherArguments(3, reason="because"))

    assert isinstance(arrived, OtherArguments)
    assert isinstance(arrived, ExceptionStandIn)
    assert str(arrived) == "3: because"
    assert arrived.stand_in_reason == "packing it failed: SystemExit"


class OwnNew(ValueError):
    __new__ = ValueError.__new__  # type: ignore[assignment]


def test_a_constructor_borrowed_from_a_builtin_class() -> None:
    exc = OwnNew("text")
    exc.lock = threading.Lock()

    assert type(across(exc)) is OwnNew


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (LyingReduce, "its __reduce__ makes another exception"),
        (RaisingReduce, "it cannot be pickled: "),
        (RaisingSetState, ""),
        (KeyError, ""),
    ],
)
def test_a_structure_that_only_the_class_s_own_constructor_can_make(
    cls: type[Exception], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isoclient.transit.exceptions.has_state_of_its_own", lambda cls: True)
    exc = cls("text")
    exc.code = 7  # type: ignore[attr-defined]
    arrived = across(exc)

    assert isinstance(arrived, cls)
    assert (str(arrived), vars(arrived)["code"]) == (str(exc), 7)
    assert getattr(arrived, "stand_in_reason", "").startswith(reason)
    assert isinstance(arrived, ExceptionStandIn) == (cls in (LyingReduce, RaisingReduce, RaisingSetState))


def test_a_reduction_that_contains_the_exception_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Circular(ValueError):
        def __reduce__(self) -> Any:
            return Circular, (self,)

    monkeypatch.setattr("isoclient.transit.exceptions.has_state_of_its_own", lambda cls: True)
    exc = Circular()
    exc.args = (exc,)

    assert isinstance(across(exc), Circular)


def test_an_exception_whose_notes_are_not_a_list() -> None:
    exc = ValueError()
    exc.__notes__ = threading.Lock()  # type: ignore[assignment]

    assert type(across(exc)) is ValueError


def test_after_all_of_them_the_next_exception_is_as_good_as_ever() -> None:
    class LocalError(Exception):
        pass

    for make in COPIED.values():
        across(make())
    for make_value in UNSENDABLE.values():
        across(ValueError(make_value()))

    assert type(across(LocalError())) is LocalError
