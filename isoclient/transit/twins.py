"""Mocks that the other process has not: they are sent as what a twin is made of."""

from __future__ import annotations

from types import FunctionType
from typing import Any, Final

from isoclient.system.modules import pickle
from isoclient.transit.exceptions import pack_exception, unpack_exception
from isoclient.transit.shared_mocks import mocks

__all__ = ["carried", "reduced_mock"]


def reduced_mock(obj: Any) -> Any:
    """What a pickler's ``reducer_override`` is to return for a mock, or a function that one is behind.

    Returns:
        NotImplemented for anything else.
    """
    number = mocks.number_of(obj)
    if number:
        name, bases, function, attributes, of_class, links = mocks.names().ingredients(obj)
        mocks.note_sent(number)
        attributes = {key: carried(value) for key, value in attributes.items()}
        return _make, (number, name, bases, function), (attributes, of_class, links), None, None, _fill
    if type(obj) is FunctionType and "mock" in obj.__dict__ and mocks.number_of(obj.__dict__["mock"]):
        behind = mocks.names().autospec_of(obj)
        return NotImplemented if behind is None else (_function_of, (behind,))
    return NotImplemented


def _make(number: int, name: str, bases: tuple[type, ...], function: Any) -> Any:
    """The twin, with nothing in it yet; or what has that number here."""
    known = mocks.get(number)
    if known is None:
        known = mocks.names().make(name, bases, function)
        mocks.enter(known, number)
    return known


def _fill(twin: Any, state: tuple[Any, ...]) -> None:
    names = mocks.names()
    if not names.is_filled(twin):
        with mocks.silently():
            names.fill(twin, *state)


def _function_of(mock: Any) -> Any:
    return mocks.names().function_of(mock)


def carried(value: Any) -> Any:
    """What is to be sent for what a mock returns or does.

    An exception that no copy can be made of is sent as those are that an app raises; also where it is one of several.
    """
    if issubclass(type(value), BaseException):
        return value if _can_be_copied(value) else _Carried(value)
    if type(value) in _ITERATORS:
        _, (items,), *place = value.__reduce__()
        left = [carried(item) for item in items[place[0] if place else 0 :]]
        return iter(left)
    return value


_ITERATORS: Final[tuple[type, ...]] = (type(iter([])), type(iter(())))


def _can_be_copied(error: BaseException) -> bool:
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return type(copy) is type(error) and repr(copy) == repr(error)


class _Carried:
    """Arrives as an exception."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> Any:
        return unpack_exception, (pack_exception(self._error),)
