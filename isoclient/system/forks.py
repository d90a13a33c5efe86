"""What a fork of the test's process must not keep: the descriptors of apps that belong to the process it came from.

A sibling that holds our end of an app's pipe hides the end of file from it, and the end of our process from its
lifeline. So whoever owns such descriptors registers here, and every fork closes them, our own forks and those of others
alike.
"""

from __future__ import annotations

import weakref
from typing import Final, Protocol

from isoclient.system.locks import make_lock
from isoclient.system.modules import os, threading

__all__ = ["forget", "register", "start_lock"]


class Owner(Protocol):
    """Somebody with descriptors that a fork must not keep."""

    def abandon(self) -> None:
        """Called in a fork: close the descriptors, and be of no use from now on. Must not raise or wait."""


_owners: Final[set[weakref.ref[Owner]]] = set()  # a WeakSet is much code, and so much memory that a fork has to copy
_start_lock: Final = make_lock()


def register(owner: Owner) -> None:
    """From now on, forks call ``owner.abandon()``."""
    _owners.add(weakref.ref(owner, _owners.discard))


def forget(owner: Owner) -> None:
    """It has no descriptors any more."""
    _owners.discard(weakref.ref(owner))


def start_lock() -> threading.RLock:
    """Held while a process is started: descriptors that exist but are not registered yet would leak into a sibling.

    Every fork holds it too, those of other threads that we know nothing of included.
    """
    return _start_lock


def _after_in_child() -> None:
    _start_lock.release()
    for reference in list(_owners):
        if (owner := reference()) is not None:
            owner.abandon()
    _owners.clear()


if hasattr(os, "register_at_fork"):
    # Those of the parent are no functions of Python: an exception out of a signal handler would come before their first
    # line, and leave the lock taken.
    os.register_at_fork(before=_start_lock.acquire, after_in_parent=_start_lock.release, after_in_child=_after_in_child)
