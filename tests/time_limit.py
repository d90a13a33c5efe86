"""No test runs for ever: one that takes too long fails, and says where each of its threads is.

A signal does it, and no thread: from Python 3.12 on, a fork of a process with several threads warns. So it is
interrupted wherever Python looks at signals, as by Ctrl-C. Where even that does not end it, the run (with xdist, the
worker) is ended, and the last that it says is the name of the test, and the stacks.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator
from typing import Final

import pytest

__all__ = ["TimeLimit"]

LIMIT: Final = 600.0  # seconds; far more than any should take, also on a machine that does much else
_SLOW: Final = 2000.0  # for what is marked as slow
_GRACE: Final = 60.0  # seconds that a test may take to end after it was interrupted


class TimeLimit:
    """The limit of each test.

    Args:
        limit: how long it may take, in seconds.
        slow: the same for one that is marked as slow.
        grace: how long it may take to end when that has passed.
    """

    def __init__(self, limit: float = LIMIT, slow: float = _SLOW, grace: float = _GRACE) -> None:
        self._limit, self._slow, self._grace = limit, slow, grace
        self._stderr = os.dup(2)  # as it is before anything is captured

    def close(self) -> None:
        """Let go of the terminal."""
        os.close(self._stderr)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """With its fixtures, from their beginning to their end."""
        if threading.current_thread() is not threading.main_thread():
            return (yield)
        limit = self._slow if item.get_closest_marker("slow") else self._limit
        interrupt = _Interrupt(item, limit, self._stderr)
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, limit, self._grace)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


class _Interrupt:
    def __init__(self, item: pytest.Item, limit: float, stderr: int) -> None:
        self._item = item
        self._text = f"{item.nodeid} has not ended within {limit:g} s"
        self._stderr = stderr
        self._has_been = False
        self._pid = os.getpid()

    def __call__(self, number: int, frame: object) -> None:
        if os.getpid() != self._pid:
            return
        if self._has_been:
            os.write(self._stderr, f"\n{self._text}, nor since it was interrupted\n".encode())
            faulthandler.dump_traceback(self._stderr)
            os._exit(70)
        self._has_been = True
        self._item.add_report_section("call", "threads", _stacks())
        pytest.fail(self._text)


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, 'a thread of C')}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )
