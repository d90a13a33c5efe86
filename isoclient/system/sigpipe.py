"""Writing to those who may have died, where what we call does not let us say that EPIPE will do.

To a socket of ours that is said with each write (:data:`NO_SIGNAL`); but not to a pipe, and multiprocess does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from isoclient.system.modules import signal, socket

__all__ = ["NO_SIGNAL", "without_sigpipe"]

NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)
"""For each write to a socket that the other process has an end of: EPIPE will do."""


@contextlib.contextmanager
def without_sigpipe() -> Iterator[None]:
    """Have this thread take no SIGPIPE within the block, not even later.

    Python ignores it from its start; but some let it do its default again, which is to end the process, so that a
    command stops when nobody reads what it prints.
    """
    if not hasattr(signal, "sigtimedwait") or signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN:
        yield
        return
    only = {signal.SIGPIPE}
    had_blocked = signal.pthread_sigmask(signal.SIG_BLOCK, only)
    try:
        yield
    finally:
        if signal.SIGPIPE not in had_blocked:
            while signal.sigtimedwait(only, 0) is not None:
                pass
            signal.pthread_sigmask(signal.SIG_UNBLOCK, only)
