"""Locks that are free in a fork, where the thread that held one at that moment is not.

A fork copies a lock as it is. One that another thread held is never released there, and whoever needs it waits for
ever. What our locks guard belongs to the process before the fork, and is of no use in it; but the objects that have
them are met there: a client by the app that it serves, or by a fork that a test makes while another thread starts it.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from isoclient.system.modules import os, threading

__all__ = ["make_lock", "release_all"]

_RLock: Final = type(threading.RLock())  # which is called through a function there
_locks: Final[set[weakref.ref[Any]]] = set()  # a WeakSet is much code, and so much memory that a fork has to copy


def make_lock() -> threading.RLock:
    """A lock of this kind. It is re-entrant, for a signal handler may use what this thread is just using.

    Example:
        >>> with make_lock() as taken:
        ...     taken
        True
    """
    lock = _RLock()
    _locks.add(weakref.ref(lock, _locks.discard))
    return lock


def release_all() -> None:
    """In a fork of which this package has the whole: no frame below this one will release what its thread holds."""
    for lock in _all():
        if lock._is_owned():
            lock._at_fork_reinit()


def _all() -> list[Any]:
    return [lock for reference in list(_locks) if (lock := reference()) is not None]


def _release_those_of_others() -> None:
    # Any fork may come back to whoever holds one here. Those that are free are left as they are, and not even tried: a
    # fork would have to copy their memory. Before Python 3.14, only its text tells whether one is.
    for lock in _all():
        if not (lock._is_owned() or repr(lock).startswith("<unlocked ")):
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_those_of_others)
