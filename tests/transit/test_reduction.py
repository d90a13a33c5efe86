"""Objects that answer for their attributes themselves: no hook of theirs meets a copy that is still empty."""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Callable
from typing import Any

import pytest

from isoclient.transit import (
    StandIn,
    pack_debug,
    pack_exception,
    pack_object,
    unpack_debug,
    unpack_exception,
    unpack_object,
)


class Endless:
    """As Starlette's State: ``__getattr__`` reads what ``__init__`` has made."""

    def __init__(self, **known: object) -> None:
        super().__setattr__("known", known)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.known[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: object) -> None:
        self.known[name] = value


class Reads:
    """It fails in its own way, for it reads what is not there past itself."""

    def __init__(self, **known: object) -> None:
        self.known = known

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["known"][name]


class Always(Endless):
    """It is asked for each attribute, also for those that are there."""

    def __getattribute__(self, name: str) -> Any:
        known = object.__getattribute__(self, "__dict__")["known"]
        return known[name] if name in known else object.__getattribute__(self, name)


class Slots:
    """Its state is in slots, and setting one needs another."""

    __slots__ = ("frozen", "known")

    def __init__(self, **known: object) -> None:
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "frozen", True)

    def __getattr__(self, name: str) -> Any:
        return self.known[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: frozen is {self.frozen}")


class Answers:
    """A double that answers to any name, with a function that does nothing."""

    def __init__(self, **known: object) -> None:
        self.known = known
        self.color = known["color"]

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


class Forwards:
    """A proxy: what it stands for has an answer to each special method, which is not its own."""

    def __init__(self, **known: object) -> None:
        self.known = known
        self.target = Restores(**known)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


class Restores:
    """Its own ``__setstate__`` is called, and with what its ``__getstate__`` gave."""

    def __init__(self, **known: object) -> None:
        self.known, self.color = known, known["color"]

    def __getstate__(self) -> object:
        return list(self.known.items())

    def __setstate__(self, state: Any) -> None:
        self.__init__(**dict(state))  # type: ignore[misc]

    def __getnewargs__(self) -> tuple[object, ...]:
        return ()


class RestoresItself(Restores):
    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "known" if name == "all" else name)


class Items(dict[str, object]):
    """A mapping whose items are its attributes, with one of its own."""

    def __init__(self, **known: object) -> None:
        super().__init__(known)
        self.__dict__["known"] = known

    def __getattr__(self, name: str) -> Any:
        return self.known[name]


class Reduces(Endless):
    """It says itself what it is made from."""

    def __reduce__(self) -> Any:
        return functools.partial(Reduces, **self.known), (), {"known": self.known}


class Registered(Endless):
    """:mod:`copyreg` knows what it is made from."""


copyreg.pickle(Registered, lambda obj: (Registered.__new__, (Registered,), {"known": obj.known}))


class Fails(Exception):
    """Exceptions have a ``__setstate__`` of their own, in C."""

    def __init__(self, **known: object) -> None:
        self.known = known

    def __getattr__(self, name: str) -> Any:
        return self.known[name]


CLASSES = [
    Endless, Reads, Always, Slots, Answers, Forwards, Restores, RestoresItself, Items, Reduces, Registered, Fails
]  # fmt: skip
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def by_pickle(obj: Any) -> Any:
    packed = pack_object(obj, {})
    return unpack_object(packed, {})


def by_dill(obj: Any) -> Any:
    return unpack_object(pack_object(lambda: obj, {}), {})()


def in_an_exception(obj: Any) -> Any:
    error: Any = ValueError("with an attribute")
    error.attribute = obj
    received: Any = unpack_exception(pack_exception(error))
    return received.attribute


def in_a_context(obj: Any) -> Any:
    return unpack_debug(pack_debug({"context": {"obj": obj}}))["context"]["obj"]


@each_class
@pytest.mark.parametrize("across", [by_pickle, by_dill, in_an_exception, in_a_context])
def test_an_object_that_answers_for_its_attributes(cls: Any, across: Callable[[Any], Any]) -> None:
    obj = cls(color="red", parts=[1])

    arrived = across(obj)

    assert arrived is not obj
    if cls is Reduces and across in (in_an_exception, in_a_context):
        assert isinstance(arrived, StandIn)  # a partial would have to be called
        return
    assert type(arrived) is cls
    assert arrived.color == "red"
    assert arrived.known == {"color": "red", "parts": [1]}


@pytest.mark.parametrize("across", [by_pickle, by_dill])
def test_one_that_is_part_of_itself(across: Callable[[Any], Any]) -> None:
    obj = Endless()
    obj.itself = [obj]

    arrived = across(obj)

    assert arrived.itself[0] is arrived


def test_one_of_a_class_that_crosses_by_value() -> None:
    namespace: dict[str, Any] = {"__name__": "no_module"}
    exec(
        "class Local:\n"
        "    def __init__(self): self.__dict__['known'] = {'color': 'red'}\n"
        "    def __getattr__(self, name): return self.known[name]\n",
        namespace,
    )
    packed = pack_object(namespace["Local"](), {})
    namespace.clear()

    assert unpack_object(packed, {}).color == "red"


def test_no_attribute_of_one_is_set_by_its_hooks() -> None:
    seen = []

    class Notes:
        __slots__ = ("color",)

        def __setattr__(self, name: str, value: object) -> None:
            seen.append(name)
            super().__setattr__(name, value)

    obj = Notes()
    obj.color = "red"
    seen.clear()

    assert by_pickle(obj).color == "red"
    assert seen == []
