"""The mocks that both processes have, each with a number by which it is known in both.

A mock that the test has when its process is forked is in the memory of both, and so is its number. One that is sent
later arrives as a *twin*, which has the number of the original. So what the app's process does with either can be told
of the test's own. A mock that came about over there as a part of one of them, as attributes of mocks do when they are
first asked for, has none; but it has a path: the number of the mock that it is a part of, and the names that lead on.

Numbers are those of the process that has made the mock: those of the app's process, which may have clients of its own,
begin elsewhere. They are not kept in the mocks, whose attributes are the user's.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from isoclient.system.modules import os, threading, time

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "Address",
    "HasMock",
    "Listener",
    "SharedMocks",
    "has_none",
    "is_sentinel",
    "mocks",
    "recalled",
    "reference_to",
    "sentinel",
]

HasMock: TypeAlias = Callable[[int], bool]
"""Tells of a number whether the other process has the mock that is known by it."""

_DEEPEST: Final = 100  # parts of parts
_PAUSE: Final = 0.001  # seconds between two looks for calls; an assertion reads what there is several times
_EACH: Final = 40  # bits, for the mocks of one process


def has_none(number: int) -> bool:
    """It has no mocks of this one."""
    return False


class Address(NamedTuple):
    """Where a mock is: the number of one that both have, and the names that lead on from it.

    Attributes:
        root: that number.
        path: the names, of attributes or ``"()"``.
        number: that of the mock itself, where it has one: it is known by that from now on. 0 for none.
    """

    root: int
    path: tuple[str, ...] = ()
    number: int = 0


class Listener(Protocol):
    """Who is told of what is set on mocks in this process."""

    def mock_has_changed(self, mock: Any, name: str, value: Any) -> None:
        """This attribute was set to this value, or deleted: one in which calls are recorded, or another one."""

    def catch_up(self) -> None:
        """Somebody is about to read which calls there were."""

    def mock_is_sent(self, number: int) -> None:
        """The mock that is known by this number goes to another process."""


class SharedMocks:
    """The mocks of this process that have a number: all of them, as soon as it has a client.

    Attributes:
        sent: the numbers of those that have been sent to some app.
        behind: the numbers of those that are behind functions, where a mock sees nothing of what is set.
    """

    def __init__(self) -> None:
        self.sent: set[int] = set()
        self.behind: set[int] = set()
        self._names: ModuleType | None = None  # of unittest.mock, where that has been imported
        self._numbers: dict[int, int] = {}  # by id
        self._mocks: dict[int, weakref.ref[Any]] = {}  # by number
        self._parts: set[int] = set()  # the numbers of those that were made as parts of others
        self._first = self._next = 1
        self._listeners: dict[int, weakref.ref[Listener]] = {}  # by id
        self._silent: set[int] = set()  # threads
        self._caught_up = 0.0

    @property
    def next(self) -> int:
        """The number that the next one will have."""
        return self._next

    # -- which there are

    def look(self) -> None:
        """From now on, each mock has a number; those that there are as well. It costs nothing where there are none."""
        if self._names is None and "unittest.mock" in sys.modules:
            self.names()

    def names(self) -> Any:
        """:mod:`isoclient.compat.python_mock`, at the first call of this; from then on, mocks are watched."""
        if self._names is None:
            from isoclient.compat import python_mock

            self._names = python_mock
            existing = python_mock.existing()  # before the test that comes now makes some
            if python_mock.can_be_shared():
                python_mock.watch(self._made, self._changed, self._put_behind, self._catch_up)
                for mock in existing:
                    self._made(mock, python_mock.parent_of(mock) is not None)
                    if python_mock.function_of(mock) is not None:
                        self._put_behind(mock)
        return self._names

    def begin_elsewhere(self) -> None:
        """This is the app's process now: what it makes itself is not shared with the test's."""
        self._listeners.clear()
        self._first = self._next = max(os.getpid() << _EACH, self._next)
        if self._names is not None:
            self._names.free_lock()

    def _made(self, mock: Any, is_part: bool) -> None:
        number, self._next = self._next, self._next + 1
        if is_part:
            self._parts.add(number)
        self.enter(mock, number)

    def _put_behind(self, mock: Any) -> None:
        self.behind.add(self.number_of(mock))

    def enter(self, mock: Any, number: int) -> None:
        """This mock is known by this number."""
        key = id(mock)

        def forget(reference: object) -> None:
            if self._numbers.get(key) == number:
                del self._numbers[key]
            if self._mocks.get(number) is reference:
                del self._mocks[number]
                self._parts.discard(number)
                self.sent.discard(number)
                self.behind.discard(number)

        self._mocks[number] = weakref.ref(mock, forget)
        self._numbers[key] = number

    # -- how they are known

    def number_of(self, mock: object) -> int:
        """Its number; 0 for whatever has none."""
        return self._numbers.get(id(mock), 0)

    def is_shared(self, number: int) -> bool:
        """Whether the test's process has the mock with this number, too; to be asked in the app's."""
        return not self._first <= number < self._next

    def is_part(self, number: int) -> bool:
        """Whether it was made as a part of another."""
        return number in self._parts

    def address(self, mock: Any, has_mock: HasMock) -> Address | None:
        """How to find a mock in another process, which has those numbers; None if it can't be found there."""
        names, own, path = self.names(), self.number_of(mock), list[str]()
        while mock is not None and len(path) < _DEEPEST:
            number = self.number_of(mock)
            if number and has_mock(number):
                return Address(number, tuple(reversed(path)), own if path else 0)
            if number not in self._parts or not (name := names.name_of(mock)):
                return None
            path.append(name)
            mock = names.parent_of(mock)
        return None

    def find(self, address: Address) -> Any:
        """The mock that is there in this process; what is not there yet is made, as by whoever asks for it.

        Raises:
            LookupError: there is none.
        """
        root, path, number = address
        if number and (known := self.get(number)) is not None:
            return known
        found = self.get(root)
        if found is None:
            raise LookupError(f"there is no mock with the number {root}")
        for name in path:
            found = self._part(found, name)
        if number:
            self.enter(found, number)
        return found

    def _part(self, mock: Any, name: str) -> Any:
        names = self.names()
        try:
            part = mock.return_value if name == "()" else getattr(mock, name)
        except AttributeError as error:
            raise LookupError(str(error)) from None
        part = names.autospec_of(part) or part
        if not names.is_mock(part):
            raise LookupError(f"{name} of {mock!r} is no mock")
        return part

    def known(self) -> list[Any]:
        """Those that have a number."""
        return [mock for number in list(self._mocks) if (mock := self.get(number)) is not None]

    def get(self, number: int) -> Any:
        """The mock with this number, or None."""
        reference = self._mocks.get(number)
        return reference() if reference is not None else None

    # -- what becomes of them

    def silently(self) -> _Silence:
        """A context in which nobody is told of what this thread does to mocks."""
        return _Silence(self._silent)

    def tell(self, listener: Listener) -> None:
        """From now on, tell this one of changes, as long as it lives."""
        key = id(listener)
        self._listeners[key] = weakref.ref(listener, lambda _: self._listeners.pop(key, None))

    def tell_no_more(self, listener: Listener) -> None:
        """It wants to know nothing any more."""
        self._listeners.pop(id(listener), None)

    def _listening(self) -> list[Listener]:
        found = (reference() for reference in list(self._listeners.values()))
        return [listener for listener in found if listener is not None]

    def _catch_up(self) -> None:
        """Hear of the calls that threads and tasks of the app have made since it was asked for something."""
        if self._listeners and (now := time.monotonic()) - self._caught_up > _PAUSE:
            self._caught_up = now
            if threading.get_ident() not in self._silent:
                for listener in self._listening():
                    listener.catch_up()

    def note_sent(self, number: int) -> None:
        """From now on, some app has the mock with this number."""
        self.sent.add(number)
        for listener in self._listening():
            listener.mock_is_sent(number)

    def _changed(self, mock: Any, name: str, value: Any) -> None:
        if self._listeners and threading.get_ident() not in self._silent:
            for listener in self._listening():
                listener.mock_has_changed(mock, name, value)


class _Silence:
    def __init__(self, threads: set[int]) -> None:
        self._threads = threads
        self._is_outermost = False

    def __enter__(self) -> None:
        self._is_outermost = threading.get_ident() not in self._threads
        self._threads.add(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        if self._is_outermost:
            self._threads.discard(threading.get_ident())


mocks: Final = SharedMocks()
"""One for the process, as the classes of mocks are."""


# -- on their way


def reference_to(mock: Any, has_mock: HasMock) -> tuple[Any, ...] | None:
    """A mock as a plain value, if the other process has it, or makes it when it is asked for; else None."""
    address = mocks.address(mock, has_mock)
    if address is None:
        return None
    if address.number:
        mocks.note_sent(address.number)
    return tuple(address)


def recalled(reference: tuple[Any, ...]) -> Any:
    """The mock that :func:`reference_to` means, in this process.

    Raises:
        LookupError: there is none.
    """
    return mocks.find(Address(*reference))


def is_sentinel(obj: object) -> bool:
    """Whether it is ``mock.sentinel.something``."""
    return "unittest.mock" in sys.modules and bool(mocks.names().is_sentinel(obj))


def sentinel(name: str) -> object:
    """The one of that name."""
    found: object = getattr(mocks.names().sentinel, name)
    return found
