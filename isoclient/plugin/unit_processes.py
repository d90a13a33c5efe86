"""The processes of units: the next one is forked while the present one is at work, and those that end are let go.

To fork the process of a run that has collected thousands of tests takes milliseconds, and so does the end of such a
fork; on most machines another processor has them. A process that is ahead of its time waits for its first test; it has
what the run's process had one unit earlier, and that does nothing but hear of tests meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from isoclient.process.unit_process import UnitProcess
from isoclient.system.modules import signal, threading

__all__ = ["UnitProcesses", "deaf_to_interrupts"]


class UnitProcesses:
    """They are started here, and here they end.

    Args:
        start: forks one, which waits for its first test.
    """

    def __init__(self, start: Callable[[], UnitProcess]) -> None:
        self._start = start
        self._next: UnitProcess | None = None
        self._leaving: list[UnitProcess] = []

    def take(self) -> UnitProcess:
        """One for a unit."""
        taken, self._next = self._next, None
        if taken is not None and taken.has_ended():  # somebody has ended all processes that were idle
            taken.close()
            taken = None
        return taken or self._start()

    def prepare(self) -> None:
        """Have one for the next unit; if the system has no more of them, that is seen when one is taken."""
        if self._next is None:
            with contextlib.suppress(OSError):
                self._next = self._start()

    def discard(self) -> None:
        """The process of the run is about to change."""
        taken, self._next = self._next, None
        if taken is not None:
            taken.end()

    def let_go(self, process: UnitProcess) -> None:
        """It has nothing to do any more but to end."""
        self._leaving = [each for each in (*self._leaving, process) if not _has_gone(each)]

    def close(self) -> None:
        """The run is over: wait for all."""
        self.discard()
        for process in self._leaving:
            process.await_end()
        self._leaving.clear()


def _has_gone(process: UnitProcess) -> bool:
    if process.has_ended():
        process.close()
        return True
    return False


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """An interrupt from the keyboard is for the test that is on, not for a process that waits for one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if handler is not None:  # None is one that Python does not know
            signal.signal(signal.SIGINT, handler)
