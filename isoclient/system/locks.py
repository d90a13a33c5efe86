"""Locks that are free in a fork, where the thread that held one at that moment is not.

A fork copies a lock as it is. One that another thread held is never released there, and whoever needs it waits for
ever. What our locks guard belongs to the process before the fork, and is of no use in it; but the objects that have
them are met there: a client by the app that it serves, or by a fork that a test makes while another thread starts it.
"""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import repeat, starmap
from typing import Any, Final

from isoclient.system.modules import os, threading

__all__ = ["make_lock", "owned", "release"]

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


def owned() -> list[threading.RLock]:
    """Those that this thread holds; to be asked right before a fork, for there each look would copy memory."""
    return [lock for lock in _all() if lock._is_owned()]


def release(locks: Iterable[threading.RLock]) -> None:
    """In a fork of which this package has the whole: no frame below this one will release what its thread holds.

    Args:
        locks: those that are :func:`owned` before the fork.
    """
    for lock in locks:
        lock._at_fork_reinit()  # type: ignore[attr-defined]


def _all() -> list[Any]:
    return [lock for reference in list(_locks) if (lock := reference()) is not None]


_threads: Final[deque[int]] = deque([0], maxlen=1)
"""How many threads there were right before the fork that this process comes from."""


def _release_those_of_others() -> None:
    # Any fork may come back to whoever holds one here. Those that are free are left as they are, and not even tried: a
    # fork would have to copy their memory. Before Python 3.14, only its text tells whether one is.
    if _threads[0] == 1:
        return  # nor is there one to be tried: no thread has begun since, for what runs there is this one
    for lock in _all():
        if not (lock._is_owned() or repr(lock).startswith("<unlocked ")):
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    _numbers = map(_threads.append, map(len, starmap(sys._current_frames, repeat(()))))
    # No function of Python: an exception out of a signal handler would come before its first line, and leave the number
    # of another fork.
    os.register_at_fork(before=partial(next, _numbers), after_in_child=_release_those_of_others)
