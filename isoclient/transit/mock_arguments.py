"""The arguments that mocks have recorded, for two processes to compare: those of the same call of the same mock.

What the app's process has called a mock with is recorded in the test's as it was at the time of the call, unless both
have it. There the app goes on with the very object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from isoclient.transit.looks import MISSING
from isoclient.transit.shared_mocks import Address, HasMock, mocks

__all__ = ["Argument", "argument_of", "last_arguments", "recorded"]


class Argument(NamedTuple):
    """One of them.

    Attributes:
        root: of the address of the mock.
        path: likewise.
        number: likewise.
        calls: how many calls of it there are. Where there are others, nobody knows which is meant.
        call: the place of the call among them.
        place: that of the argument; or its name.
    """

    root: int
    path: tuple[str, ...]
    number: int
    calls: int
    call: int
    place: int | str


def argument_of(value: object, has_mock: HasMock) -> Argument | None:
    """What an object is an argument of; None for most.

    Args:
        value: the object.
        has_mock: tells of a number whether the other process has the mock that is known by it.
    """
    for mock in mocks.known():
        for argument, thing in _arguments(mock, has_mock):
            if thing is value:
                return argument
    return None


def last_arguments(mock: Any, has_mock: HasMock) -> dict[Argument, Any]:
    """What a mock was called with at last."""
    found = dict(_arguments(mock, has_mock))
    last = max((argument.call for argument in found), default=0)
    return {argument: thing for argument, thing in found.items() if argument.call == last}


def recorded(argument: Argument) -> Any:
    """What it is in this process; MISSING if it can't be told."""
    root, path, number, count, call, place = argument
    try:
        calls = _calls(mocks.find(Address(root, path, number)))
        args, kwargs = calls[call]
        if len(calls) == count:
            return args[place] if isinstance(place, int) else kwargs[place]
    except LookupError:
        pass
    return MISSING


def _arguments(mock: Any, has_mock: HasMock) -> Iterator[tuple[Argument, Any]]:
    calls = _calls(mock)
    address = mocks.address(mock, has_mock) if calls else None
    if address is None:
        return
    for number, (args, kwargs) in enumerate(calls):
        for place, thing in enumerate(args):
            yield Argument(*address, len(calls), number, place), thing
        for name, thing in kwargs.items():
            yield Argument(*address, len(calls), number, name), thing


def _calls(mock: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    with mocks.silently():
        return mocks.names().calls_of(mock)  # type: ignore[no-any-return]
