"""multiprocess: how a process is begun, waited for and ended. For a child to be one of its own, see multiprocessing_.

It has that right for each system, as multiprocessing has: which interpreter this is, what a new one inherits, and what
a status of :func:`os.waitpid` means. What apps need beyond that is in :mod:`isoclient.process.popen`. Nothing is
entered among its children, which it joins at exit without a deadline.
"""

from __future__ import annotations

from multiprocess import popen_fork, spawn, util

from isoclient.compat.self_tests import self_test
from isoclient.system.modules import bind, os

__all__ = ["Popen", "interpreter", "start"]

bind(popen_fork)
bind(spawn)
bind(util)


@self_test("Passing the options of this interpreter on to that of an app", project="multiprocess")
def _knows_options() -> None:
    assert isinstance(util._args_from_interpreter_flags(), list)


def interpreter() -> list[str]:
    """The beginning of the command line of an interpreter like this one: its path, and its options."""
    options: list[str] = util._args_from_interpreter_flags() if _knows_options() else []
    return [spawn.get_executable(), *options]


def start(command: list[str], descriptors: list[int]) -> int:
    """Start a program, which keeps these descriptors by the same numbers, and return its pid.

    Raises:
        OSError: the system refuses a new process.
    """
    pid: int = util.spawnv_passfds(command[0], command, descriptors)
    return pid


class Popen(popen_fork.Popen):  # type: ignore[misc]  # it has no types
    """A child process. :meth:`launch` starts it, and lets ``pid`` be its number.

    Attributes:
        returncode: its exit status, negative for a signal; None as long as it is not known.
    """

    returncode: int | None

    def __init__(self) -> None:
        super().__init__(None)

    def _launch(self, _process_obj: None) -> None:
        self.launch()

    def launch(self) -> None:
        """Start it."""
        raise NotImplementedError  # each start method has its own

    def poll(self) -> int | None:
        """The return code, if it has ended."""
        returncode: int | None = super().poll(os.WNOHANG)
        return returncode

    def kill(self) -> None:
        """Send it SIGKILL, if it has not been waited for."""
        super().kill()
