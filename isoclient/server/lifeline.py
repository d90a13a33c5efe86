"""The app's process ends when the test's process does, whatever the app is doing.

On Linux the kernel is told to send SIGKILL when the sentinel, a pipe whose other end the test's process holds, changes
(``F_SETSIG`` with ``O_ASYNC``). That needs no thread here, and works while C code holds the GIL. ``PR_SET_PDEATHSIG``
would not do: it watches the *thread* that started us, and under a fork server the wrong process.

The app may close the sentinel, or die before what it has started does. So the test's process has the kernel told the
same a second time, on descriptors of its own (:func:`guard`). What is armed here holds from the first moment on.

Elsewhere a thread waits for the sentinel; it can't run while C code holds the GIL.
"""

from __future__ import annotations

import contextlib
from typing import Any

from isoclient.system.descriptors import Belongings
from isoclient.system.modules import os, select, signal, threading

__all__ = ["arm", "guard"]

_fcntl: Any
try:
    from isoclient.system.modules import fcntl as _fcntl
except ImportError:  # pragma: no cover  # Windows
    _fcntl = None


def arm(sentinel: int) -> None:
    """End this process, and the group that it leads, when the sentinel becomes readable."""
    if not hasattr(_fcntl, "F_SETSIG"):  # pragma: no cover  # not Linux
        threading.Thread(target=_watch, args=(sentinel,), name="isoclient-lifeline", daemon=True).start()
        return
    _kill_upon_change(sentinel, -os.getpgrp() if os.getpgrp() == os.getpid() else os.getpid())
    # The signal comes with a change. Had the other end been closed before we asked for it, none would come.
    if _is_readable(sentinel, 0):
        os.kill(os.getpid(), signal.SIGKILL)


def guard(lifeline: int, group: int, belongings: Belongings) -> int:
    """In the test's process: let the kernel end a group of processes when this process ends, however it does.

    The kernel tells the readers of a pipe that nobody can write to it any more; and the readers are here, where the app
    can't close them. They are closed with this process too: so there are two, one of which outlives the lifeline
    whether a process that ends has its descriptors released upwards (as of old) or downwards (Linux 4.3 and later). The
    kernel keeps the group itself, not its number, which may stand for others by then.

    Args:
        lifeline: the writing end of the sentinel.
        group: the process that leads the group.
        belongings: what owns the lifeline, and is to own the readers.

    Returns:
        The lifeline, which may have another number by now.
    """
    if hasattr(_fcntl, "F_SETSIG"):
        # The first has a lower number than the lifeline, the second a higher one. Whatever fails, the app has its own.
        with contextlib.suppress(OSError):
            lifeline = _moved_beyond(lifeline, _reader(lifeline, group, belongings), belongings)
            _moved_beyond(_reader(lifeline, group, belongings), lifeline, belongings)
    return lifeline


def _reader(lifeline: int, group: int, belongings: Belongings) -> int:
    """Open the pipe anew: a description of our own, which others can't change, nor its owner."""
    descriptor = belongings.make(os.open, f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    _kill_upon_change(descriptor, -group)
    return descriptor


def _moved_beyond(descriptor: int, other: int, belongings: Belongings) -> int:
    """The descriptor, by a number that is higher than the other's."""
    if descriptor > other:
        return descriptor
    moved = belongings.make(_fcntl.fcntl, descriptor, _fcntl.F_DUPFD_CLOEXEC, other + 1)
    belongings.close_one(descriptor)
    return moved


def _kill_upon_change(descriptor: int, owner: int) -> None:
    _fcntl.fcntl(descriptor, _fcntl.F_SETOWN, owner)
    _fcntl.fcntl(descriptor, _fcntl.F_SETSIG, signal.SIGKILL)
    _fcntl.fcntl(descriptor, _fcntl.F_SETFL, _fcntl.fcntl(descriptor, _fcntl.F_GETFL) | _fcntl.FASYNC)


def _is_readable(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(milliseconds))


def _watch(sentinel: int) -> None:  # pragma: no cover  # not Linux
    select.select([sentinel], [], [])
    os._exit(1)
