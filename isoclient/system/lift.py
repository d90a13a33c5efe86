"""Patches lifted for a moment: while libraries that can't be given what they need do what the app is not to know of.

asyncio, trio, uvloop and :class:`threading.Thread` look names up in the modules that tests patch, as they come up: a
socket pair, the number of the thread, the handlers of signals. Such a patch is meant for the app, and not for the loop
that is to run it, nor for coverage.py, which is to measure it. So before the app runs, and again when it has ended,
what the names stood for is put back for a moment. Where nothing is patched there is nothing to do, which is seen at a
glance.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from importlib import import_module
from operator import is_, itemgetter
from typing import Any, Final, Self

from isoclient.system.modules import names_of, os

__all__ = ["Patches", "holders"]

_MISSING: Final = object()
_LIVE: Final = frozenset({"excepthook"})  # which is there to be set


class _Place:
    """A module, or a class, whose names may be patched.

    Args:
        owner: it.
        names: what they stand for.
        used: those that matter; None for all.
    """

    def __init__(self, owner: Any, names: dict[str, Any], used: Collection[str] | None = None) -> None:
        self._owner = owner
        self._names = {
            name: value
            for name, value in names.items()
            if callable(value) and name not in _LIVE and name[:1] != "_" and (used is None or name in used)
        }
        self._look = itemgetter(*self._names)
        self._values = self._look(self._names)

    def lift(self) -> None:
        """Put the names back; note what they were, where they were another's."""
        now = vars(self._owner)
        try:
            if all(map(is_, self._look(now), self._values)):
                return
        except KeyError:  # somebody has deleted one
            pass
        for name, value in self._names.items():
            found = now.get(name, _MISSING)
            if found is not value:
                _lifted.append((self._owner, name, value, found))  # first, for what is lifted must be known
                setattr(self._owner, name, value)


class _Methods(_Place):
    """A class, which may have got attributes in front of those that it inherits."""

    def __init__(self, owner: type) -> None:
        self._owner = owner
        self._names = vars(owner).copy()

    def lift(self) -> None:
        now = vars(self._owner)
        # As they are at one moment: another thread may lift them, too, and be faster.
        for name, found in list(now.items()) if now != self._names else []:
            value = self._names.get(name, _MISSING)
            if found is not value:
                _lifted.append((self._owner, name, value, found))
                _put(self._owner, name, value)


def _put(owner: Any, name: str, value: object) -> None:
    if value is _MISSING:
        with contextlib.suppress(AttributeError):  # another thread was faster
            delattr(owner, name)
    else:
        setattr(owner, name, value)


_SOCKET: Final = names_of("socket")
USED: Final = {
    "os": frozenset(
        (
            *("close", "cpu_count", "dup", "fsdecode", "fsencode", "fspath", "fstat", "get_blocking", "getenv"),
            *("getpid", "kill", "lseek", "pidfd_open", "pipe", "process_cpu_count", "read", "register_at_fork"),
            *("remove", "sched_getaffinity", "sendfile", "set_blocking", "stat", "strerror", "sysconf", "unlink"),
            *("urandom", "waitpid", "waitstatus_to_exitcode", "write"),
        )
    ),
    "socket": frozenset(
        ("fromfd", "getaddrinfo", "getnameinfo", "getprotobyname", "inet_pton", "socket", "socketpair")
    ),
}
"""What event loops look up of the two modules that have many names.

To look at a name is to write to what it stands for, in CPython, and so to copy its page in a fork: all names of
:mod:`os` take some milliseconds.
"""
_PLACES: Final = (
    *(
        _Place(import_module(name), names_of(name), USED.get(name))
        for name in ("os", "select", "signal", "socket", "threading", "time")
    ),
    _Methods(_SOCKET["socket"]),
)
_FILES: Final = tuple(
    _Place(import_module(name), names_of(name)) for name in ("builtins", "io", "os", "os.path", "socket")
)

_lifted: Final[list[tuple[Any, str, Any, Any]]] = []
_holders: Final[dict[int, int]] = {}  # the id of who has them lifted, and in which process; no lock, for forks


def holders() -> int:
    """How many have them lifted in this process."""
    return list(_holders.values()).count(os.getpid())


class Patches:
    """Those of this process, in all of its threads, as somebody sees them who lifts them and puts them back.

    An exception out of a signal handler may come amid either, and before the block of a ``with`` begins. So they are
    put back also when nobody refers to this any more.

    Args:
        files: all those of the built-in functions, of files and paths, too: for what a loop has no need of.
    """

    def __init__(self, *, files: bool = False) -> None:
        self._places = (*_PLACES, *_FILES) if files else _PLACES

    def lift(self) -> None:
        """Put the names back; idempotent."""
        _holders[id(self)] = os.getpid()
        for place in self._places:
            place.lift()

    def put_back(self) -> None:
        """Put the patches in force again, if nobody else has lifted them; idempotent.

        What somebody has set meanwhile is left alone. Only a patch that another thread has undone meanwhile is put back
        all the same, for what that has set was there already.
        """
        _holders.pop(id(self), None)
        while not holders():
            try:
                owner, name, value, patch = last = _lifted[-1]
            except IndexError:  # another thread has put the last one back
                return
            if vars(owner).get(name, _MISSING) is value:
                _put(owner, name, patch)
            if _lifted and _lifted[-1] is last:  # unless another thread puts them back, too
                _lifted.pop()  # not before it is in force again

    def __enter__(self) -> Self:
        self.lift()
        return self

    def __exit__(self, *args: object) -> None:
        self.put_back()

    def __del__(self) -> None:
        self.put_back()
