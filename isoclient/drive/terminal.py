"""The terminal of the test run, lent to a debugger in an app's process for as long as its prompt is open.

The app's process leads a process group of its own, in the session of the test run. To read from the terminal it must be
the foreground group there, as a job of a shell must; so this process does what a shell does. The other half is
:mod:`isoclient.server.debugger`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from isoclient.drive.prompts import prompts
from isoclient.system.modules import os, signal

__all__ = ["Hooks", "Terminal", "hooks"]

_termios: Any
try:
    import termios as _termios
except ImportError:  # pragma: no cover  # Windows
    _termios = None


class Hooks:
    """What else is to be done; the pytest plugin sets it.

    Attributes:
        suspend: called before the terminal is lent: let go of standard input and output.
        resume: called when it is back.
    """

    def __init__(self) -> None:
        self.suspend: Callable[[], object] = _nothing
        self.resume: Callable[[], object] = _nothing


def _nothing() -> None:
    return None


hooks: Final = Hooks()


class Terminal:
    """The terminal as one app has it.

    Args:
        sync_output: passes on what the app has printed.
    """

    def __init__(self, sync_output: Callable[[], object]) -> None:
        self.is_lent = False
        self._sync_output = sync_output
        self._descriptor = -1
        self._modes: list[Any] = []

    def take(self, group: int | None) -> None:
        """Act on a frame of the debugger: lend the terminal to this process group, or take it back."""
        if group is None:
            self.take_back()
        elif not self.is_lent:
            self._lend(group)

    def _lend(self, group: int) -> None:
        self._sync_output()
        self.is_lent = True
        prompts.begin()
        hooks.suspend()
        # Where that fails, the other side sees that it does not get the terminal, and says so.
        with contextlib.suppress(OSError), _untouched_by_job_control():
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
            self._modes = _termios.tcgetattr(self._descriptor)
            if os.tcgetpgrp(self._descriptor) == os.getpgrp():
                os.tcsetpgrp(self._descriptor, group)

    def take_back(self) -> None:
        """Have the terminal as it was before, whatever has become of the borrower. Idempotent; never raises."""
        if not self.is_lent:
            return
        self.is_lent = False
        try:
            self._restore()
        finally:
            prompts.end()
            hooks.resume()

    def _restore(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError, _termios.error), _untouched_by_job_control():
            os.tcsetpgrp(descriptor, os.getpgrp())
            # A borrower that died at its prompt leaves the terminal without echo.
            _termios.tcsetattr(descriptor, _termios.TCSANOW, self._modes)
        os.close(descriptor)

    def abandon(self) -> None:
        """In a fork of this process: the terminal is none of its business."""
        descriptor, self._descriptor = self._descriptor, -1
        if self.is_lent:
            self.is_lent = False
            prompts.end()
        if descriptor >= 0:
            os.close(descriptor)


@contextlib.contextmanager
def _untouched_by_job_control() -> Iterator[None]:
    """Who changes a terminal from the background is stopped by SIGTTOU, unless that is blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
