"""The fork server: a fresh interpreter that has imported the server, for the processes of apps to be forked from.

It is also the reaper of what its children leave behind. Nobody waits for templates, for they are nobody's children (see
:mod:`isoclient.server.template`), nor for what an app has let go its own way. The parent of such a process would be the
first process of the system; and in a container that may be one that does not wait for it either, so that it stays as a
zombie when it has ended. The fork server waits for whatever child ends.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final, NoReturn

from isoclient.server.forker import Forker
from isoclient.system.modules import os, signal, socket
from isoclient.system.signals import begin_with_own_signals
from isoclient.system.standard_streams import occupy_standard_streams

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER: Final = 36


def main(channel: int) -> None:
    """Be the fork server, for as long as somebody can ask.

    Args:
        channel: the descriptor of the socket on which it is asked; see :mod:`isoclient.server.forker`.
    """
    begin_with_own_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test run alone
    occupy_standard_streams()  # before it receives the descriptors of apps
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.set_inheritable(channel, False)
    _import_what_is_needed()
    with socket.socket(fileno=channel) as sock:
        Forker(sock, _begin).run()


def _import_what_is_needed() -> None:
    """Once, and not in each process."""
    import isoclient.server.asyncio_runtime
    import isoclient.server.fresh_start  # noqa: F401


def _begin(given: list[int], _request: bytes) -> NoReturn:
    from isoclient.server.fresh_start import begin_in_fork

    begin_in_fork(given)
