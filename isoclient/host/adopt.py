"""Imported by the fork server, which then has signals of its own, and adopts what its children leave behind.

It learns of the end of its children by SIGCHLD, which the thread that has started it may have blocked.

Nobody waits for templates, for they are nobody's children (see :mod:`isoclient.host.template`), nor for what an app has
let go its own way. Such a process is adopted by the first process of the system; and in a container that may be one
that does not wait for it either, so that it stays as a zombie when it has ended. The fork server waits for whatever
child ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import warnings
from typing import Final

from multiprocess import forkserver

from isoclient.host.signals import begin_with_own_signals
from isoclient.host.standard import occupy_standard_streams

_PR_SET_CHILD_SUBREAPER: Final = 36


def _is_fork_server() -> bool:
    """Whether this is imported by the fork server: all that can be told to it is what to import."""
    frame = sys._getframe()
    while frame.f_back is not None:
        if frame.f_code is forkserver.main.__code__:
            return True
        frame = frame.f_back
    return False


if _is_fork_server():
    begin_with_own_signals()
    occupy_standard_streams()  # before it receives the descriptors of apps
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # It is told of those that it has not started itself. Apps have the filters of their test.
    warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid", UserWarning)
