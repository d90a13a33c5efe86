"""Whether the system gives pidfds. A kernel before Linux 5.3 has none, and a container may refuse them."""

from __future__ import annotations

import errno
from functools import cache

from isoclient.system.modules import os, signal

__all__ = ["are_there"]

_FOR_THE_MOMENT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@cache
def are_there() -> bool:
    """Whether one can be opened, and a signal be sent by it. It is tried once in a process."""
    if not (hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")):
        return False
    try:
        own = os.pidfd_open(os.getpid())
    except OSError as error:
        return error.errno in _FOR_THE_MOMENT  # whoever opens the next one is told
    try:
        signal.pidfd_send_signal(own, 0)
    except OSError:
        return False
    finally:
        os.close(own)
    return True
