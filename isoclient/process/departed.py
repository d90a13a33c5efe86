"""Processes that have nothing left to do, and that nobody waits for: the system takes them apart while others begin.

What a process has had of its own, a page at a time, takes it milliseconds to give back. Whoever starts another one
waits for it while that comes up. So does the plugin before a test that is given none, and the end of the interpreter.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Final

from isoclient.drive.waiting import Deadline
from isoclient.system import forks
from isoclient.system.modules import os, time

__all__ = ["Departed", "await_death", "departed"]

_DYING: Final = 5.0  # seconds that a process may take to die of SIGKILL; the kernel may be at work for it
_MOMENT: Final = 0.0002  # seconds between two looks whether it has, which takes a few milliseconds


def await_death(is_dead: Callable[[], object]) -> None:
    """Wait until a process that has been killed is dead; not for ever, for the kernel may have it."""
    deadline = Deadline(_DYING)
    while not is_dead() and deadline.remaining():
        time.sleep(_MOMENT)


class Departed:
    """Those that are children of this process."""

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._process = 0  # the number of the one whose end waits for them

    def add(self, pid: int) -> None:
        """One has told that it leaves."""
        if not self._pids:
            forks.register(self)
        if self._process != os.getpid():  # a fork of ours has forgotten its exit handlers
            self._process = os.getpid()
            atexit.register(self.await_all)
        self._pids.append(pid)

    def look(self) -> bool:
        """Have done with those that have ended, without any waiting; return whether none is left."""
        for _ in range(len(self._pids)):
            self._look_at_one()
        return not self._pids

    def _look_at_one(self) -> None:
        # One at a time belongs to one thread: a number that two wait for may be another child's the second time.
        try:
            pid = self._pids.pop(0)
        except IndexError:  # another thread was faster
            return
        has_ended = False
        try:
            has_ended = os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # somebody has waited for all children of this process
            has_ended = True
        finally:
            if not has_ended:
                self._pids.append(pid)

    def await_all(self) -> None:
        """Wait until the system has done with them."""
        await_death(self.look)

    def abandon(self) -> None:
        """In a fork: they are children of another."""
        self._pids.clear()


departed: Final = Departed()
