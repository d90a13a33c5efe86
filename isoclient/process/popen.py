"""A process of an app, as the test's process has it: owned from the moment on that there is one, and ended with it.

multiprocess has a class for a child process, which polls it and signals to it. Here it gets a *lifeline*, a pipe whose
other end only this process holds (see :mod:`isoclient.server.lifeline`), and nothing is left behind wherever its start
is interrupted. The start methods are in :mod:`isoclient.process.launch`.
"""

from __future__ import annotations

from isoclient.compat.multiprocess_ import Popen
from isoclient.process.departed import await_death, departed
from isoclient.server.lifeline import guard
from isoclient.system.descriptors import Belongings
from isoclient.system.modules import os

__all__ = ["AppPopen"]


class AppPopen(Popen):
    """A running process: what multiprocess has, and the descriptors that keep it alive.

    It is ended by force when nobody refers to it any more: so one whose start is interrupted, wherever that is, leaves
    nothing behind.
    """

    returncode: int | None = None
    has_told: bool = True
    """Whether the return code is its exit code; False where whoever had started it has died, and nobody knows."""
    lifeline: int = -1
    _is_closed = True

    def __init__(self) -> None:
        self._belongings = Belongings()
        self._pids: list[int] = []
        self._owner = os.getpid()
        self._is_closed = False
        try:
            super().__init__()
            self.lifeline = guard(self.lifeline, self.pid, self._belongings)
        except BaseException:
            if os.getpid() != self._owner:
                os._exit(1)  # a fork that is interrupted before it comes to its server must not go on as the test
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Its number; 0 as long as there is no process."""
        return self._pids[0] if self._pids else 0

    def end(self) -> None:
        """End it by force, however far it has come, and leave nothing of it."""
        if self.pid and self.poll() is None:
            self.kill()
            self.wait_for_the_end()
        self.close()

    def __del__(self) -> None:
        if not self._is_closed and self._owner == os.getpid():
            self.end()

    def wait_for_the_end(self) -> None:
        """It has been killed: let no zombie be left."""
        await_death(lambda: self.poll() is not None)

    def let_go(self) -> None:
        """It leaves by itself: let no zombie be left, without waiting for it now."""
        departed.add(self.pid)

    def poll_ended(self) -> int | None:
        """Like ``poll()``, for a process that most likely has ended."""
        return self.poll()

    def close(self) -> None:
        """Close the descriptors; a process that still runs ends by that."""
        self.lifeline = -1
        self._belongings.close()
        self._is_closed = True
