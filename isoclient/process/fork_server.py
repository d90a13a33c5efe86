"""The fork server, as the test's process has it: started when it is needed, and replaced when it is of no use any more.

It is asked on a socket pair (see :mod:`isoclient.server.forker`). So it has no address that could be too long, or be in
a directory that is not there, and nothing has to be removed however this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import warnings
from array import array
from typing import Final

from isoclient.drive.deadline import Deadline
from isoclient.process.interpreter import start_interpreter
from isoclient.server.forker import read_told
from isoclient.system import forks
from isoclient.system.descriptors import identity, let_go_of_another
from isoclient.system.modules import os, select, signal, socket, time

__all__ = ["PATIENCE", "ForkServer", "Stopped", "ask", "is_readable", "read_pid", "say_that_it_was_stopped"]

PATIENCE: Final = 60
"""Seconds that a new process may take to get going."""
_LOOK: Final = 1  # seconds between two looks whether it is stopped
_DYING: Final = 5.0  # seconds that it may take to die of SIGKILL; the kernel may be at work for it
_MOMENT: Final = 0.001  # seconds between two looks whether it has
_STOPPED: Final = (
    "the process that starts the apps of isoclient (pid {}) was stopped, by SIGSTOP or the like. It was ended, and "
    "another takes its place; but nobody can tell any more with which exit codes the apps end that it had started"
)


class Stopped(TimeoutError):
    """It could not answer, and has been ended: whoever asks next has another one."""


class ForkServer:
    """One that runs when it is asked. Whoever asks holds the start lock."""

    def __init__(self) -> None:
        self.pid = 0
        self._channel: socket.socket | None = None
        self._file = (0, 0)  # which the channel is
        self._was_stopped = 0  # the pid of one of which that has not been said yet
        atexit.register(self.abandon)  # sockets that the interpreter has to close are warned of

    def descriptors(self) -> list[int]:
        """What it has of this process."""
        return [] if self._channel is None else [self._channel.fileno()]

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        """Ask for a process.

        Args:
            request: of at least one byte, which says nothing here.
            descriptors: where its pid and its exit code are to be told, its sentinel, its directory, and its others.

        Raises:
            OSError: the system refuses something.
        """
        self.end_if_stopped()
        pid, self._was_stopped = self._was_stopped, 0
        say_that_it_was_stopped(pid)
        if self._channel is not None and let_go_of_another(self._channel, self._file):
            self.end()
        channel = self._channel or self._start()
        try:
            ask(channel, request, descriptors)
        except ConnectionError:  # it is just ending
            self.end()
            ask(self._start(), request, descriptors)

    def read_pid(self, sentinel: int) -> int:
        """The pid of what was asked for.

        Args:
            sentinel: the descriptor on which it is told.

        Raises:
            EOFError: it has ended.
            OSError: the system refuses the process.
            Stopped: see there.
            TimeoutError: it does not answer. It has been ended, too.
        """
        for _ in range(0, PATIENCE, _LOOK):
            if is_readable(sentinel, _LOOK * 1000):
                return self._read_pid(sentinel)
            if self.end_if_stopped():
                raise Stopped("what starts processes was stopped, and another as well, which had taken its place")
        self.end()
        raise TimeoutError(f"a new process did not get going within {PATIENCE} s")

    def _read_pid(self, sentinel: int) -> int:
        try:
            return read_pid(sentinel)
        except EOFError:
            self.end()
            raise

    def end_if_stopped(self) -> bool:
        """See what has become of it: end it if it is stopped, forget it if it has ended; return whether it was stopped.

        Who asks next starts another one. Where another thread holds the start lock, that sees to it.
        """
        lock = forks.start_lock()
        if not lock.acquire(blocking=False):
            return False
        try:
            return self._end_if_stopped()
        finally:
            lock.release()

    def _end_if_stopped(self) -> bool:
        pid = self.pid
        if not pid:
            return False
        try:
            found, how = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:  # it has ended, and somebody else has waited for it
            self.abandon()
            return False
        if found and os.WIFSTOPPED(how):
            self._was_stopped = pid
            self.end()
            return True
        if found:
            self.abandon()
        return False

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                channel = theirs.fileno()
                self.pid = start_interpreter("isoclient.server.fork_server", (channel,), [channel])
        except BaseException:
            ours.close()
            raise
        self._channel, self._file = ours, identity(os.fstat(ours.fileno()))
        forks.register(self)
        return ours

    def end(self) -> None:
        """End it by force; it is of no use any more."""
        pid = self.pid
        self.abandon()
        if pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                deadline = Deadline(_DYING)
                while not os.waitpid(pid, os.WNOHANG)[0] and deadline.remaining():
                    time.sleep(_MOMENT)

    def abandon(self) -> None:
        """Have nothing to do with it any more: it ends, if nobody else can ask it, when what it has started has."""
        channel, self._channel = self._channel, None
        self.pid = 0
        if channel is not None:
            let_go_of_another(channel, self._file)
            channel.close()


def ask(channel: socket.socket, request: bytes, descriptors: list[int]) -> None:
    """Ask a forker for a process; see :class:`isoclient.server.forker.Forker`."""
    given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
    channel.sendmsg([request], given, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def read_pid(sentinel: int) -> int:
    """The pid that a forker has told.

    Raises:
        EOFError: it has ended.
        OSError: the system refuses the process.
    """
    pid = read_told(sentinel)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid


def is_readable(descriptor: int, milliseconds: int) -> bool:
    """Whether there is something to be read, or the end of it, within this time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))


def say_that_it_was_stopped(pid: int) -> None:
    """Say so of a pid, if it is one; to be called before another one is asked."""
    if pid:
        warnings.warn(_STOPPED.format(pid), RuntimeWarning, stacklevel=2)
