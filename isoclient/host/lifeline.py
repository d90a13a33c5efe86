"""The app's process ends when the test's process does, whatever the app is doing.

On Linux the kernel is told to send SIGKILL when the sentinel, a pipe whose other end the test's process holds, changes
(``F_SETSIG`` with ``O_ASYNC``). That needs no thread here, and works while C code holds the GIL. ``PR_SET_PDEATHSIG``
would not do: it watches the *thread* that started us, and under a fork server the wrong process.

Elsewhere a thread waits for the sentinel; it can't run while C code holds the GIL.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import Any

__all__ = ["arm"]

_fcntl: Any
try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover  # Windows
    _fcntl = None


def arm(sentinel: int) -> None:
    """End this process, and the group that it leads, when the sentinel becomes readable."""
    if not hasattr(_fcntl, "F_SETSIG"):  # pragma: no cover  # not Linux
        threading.Thread(target=_watch, args=(sentinel,), name="isoclient-lifeline", daemon=True).start()
        return
    _fcntl.fcntl(sentinel, _fcntl.F_SETOWN, -os.getpgrp() if os.getpgrp() == os.getpid() else os.getpid())
    _fcntl.fcntl(sentinel, _fcntl.F_SETSIG, signal.SIGKILL)
    _fcntl.fcntl(sentinel, _fcntl.F_SETFL, _fcntl.fcntl(sentinel, _fcntl.F_GETFL) | _fcntl.FASYNC)
    # The signal comes with a change. Had the other end been closed before we asked for it, none would come.
    if _is_readable(sentinel, 0):
        os.kill(os.getpid(), signal.SIGKILL)


def _is_readable(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(milliseconds))


def _watch(sentinel: int) -> None:  # pragma: no cover  # not Linux
    select.select([sentinel], [], [])
    os._exit(1)
