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

_locks: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def make_lock() -> threading.RLock:
    """A lock of this kind. It is re-entrant, for a signal handler may use what this thread is just using.

    Example:
        >>> with make_lock() as taken:
        ...     taken
        True
    """
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def release_all() -> None:
    """In a fork of which this package has the whole: no frame below this one will release what its thread holds."""
    for lock in list(_locks):
        lock._at_fork_reinit()


def _release_those_of_others() -> None:
    # Any fork may come back to whoever holds one here.
    for lock in list(_locks):
        if not lock._is_owned():
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_those_of_others)
