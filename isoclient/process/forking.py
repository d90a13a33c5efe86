"""What forks processes when it is asked, as the test's process has it: the fork server, and in part the templates.

It is asked on a socket pair (see :mod:`isoclient.server.forker`). So it has no address that could be too long, or be in
a directory that is not there, and nothing has to be removed however this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import warnings
from array import array
from typing import Final

from isoclient.process.departed import await_death
from isoclient.process.interpreter import start_interpreter
from isoclient.server.forker import read_told
from isoclient.system import forks
from isoclient.system.descriptors import identity, let_go_of_another, noted
from isoclient.system.modules import os, select, signal, socket

__all__ = ["PATIENCE", "ForkServer", "Forking", "Stopped", "is_readable"]

PATIENCE: Final = 60
"""Seconds that a new process may take to get going."""
_LOOK: Final = 1  # seconds between two looks whether it is stopped
_STOPPED: Final = (
    "the process that starts the apps of isoclient (pid {}) was stopped, by SIGSTOP or the like. It was ended, and "
    "another takes its place; but nobody can tell any more with which exit codes the apps end that it had started"
)


class Stopped(TimeoutError):
    """It could not answer, and has been ended: whoever asks next has another one."""


class Forking:
    """A process that forks others when it is asked. Whoever asks holds the start lock.

    Attributes:
        pid: its number; 0 where there is none, or none is known yet.
    """

    patience = PATIENCE
    """Seconds that a process may take to get going."""

    def __init__(self) -> None:
        self.pid = 0
        self._channel: socket.socket | None = None
        self._file = (0, 0)  # which the channel is
        self._was_stopped = 0  # the pid of one of which that has not been said yet

    def _be_asked_on(self, channel: socket.socket) -> None:
        self._channel, self._file = channel, identity(os.fstat(channel.fileno()))
        forks.register(self)

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        """Ask for a process.

        Args:
            request: of at least one byte; see :class:`isoclient.server.forker.Forker`.
            descriptors: where its pid and its exit code are to be told, its sentinel, its directory, and its others.

        Raises:
            OSError: there is nothing to be asked any more, or the system refuses something.
        """
        channel = self._channel
        if channel is None or let_go_of_another(channel, self._file):
            raise BrokenPipeError(errno.EPIPE, "what starts processes can't be asked any more")
        given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        channel.sendmsg([request], given, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

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
        for _ in range(0, self.patience, _LOOK):
            if is_readable(sentinel, _LOOK * 1000):
                return self._read_pid(sentinel)
            if self.end_if_stopped():
                raise Stopped("what starts processes was stopped, and another as well, which had taken its place")
        self.end()
        raise TimeoutError(f"a new process did not get going within {self.patience} s")

    def _read_pid(self, sentinel: int) -> int:
        try:
            pid = read_told(sentinel)
        except EOFError:
            self.end()
            raise
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def end_if_stopped(self) -> bool:
        """See what has become of it: end it if it is stopped. Return whether it was."""
        raise NotImplementedError  # of a child of this process, that is another thing than of any other

    def end(self) -> None:
        """End it by force; it is of no use any more."""
        raise NotImplementedError  # likewise

    def say_that_it_was_stopped(self) -> None:
        """Say so, once, if it was; to be called before another one is asked."""
        pid, self._was_stopped = self._was_stopped, 0
        if pid:
            warnings.warn(_STOPPED.format(pid), RuntimeWarning, stacklevel=2)

    def abandon(self) -> None:
        """Have nothing to do with it any more: it ends, if nobody else can ask it, when what it has started has."""
        channel, self._channel = self._channel, None
        self.pid = 0
        if channel is not None:
            let_go_of_another(channel, self._file)
            channel.close()


class ForkServer(Forking):
    """The fork server: started when it is needed, and replaced when it is of no use any more."""

    def __init__(self) -> None:
        super().__init__()
        atexit.register(self.abandon)  # sockets that the interpreter has to close are warned of

    def descriptors(self) -> list[int]:
        """What it has of this process."""
        return [] if self._channel is None else [self._channel.fileno()]

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        """See :meth:`Forking.ask`."""
        self.end_if_stopped()
        self.say_that_it_was_stopped()
        if self._channel is not None:
            try:
                return super().ask(request, descriptors)
            except ConnectionError:  # it is just ending
                self.end()
        self._start()
        return super().ask(request, descriptors)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                channel = theirs.fileno()
                self.pid = start_interpreter("isoclient.server.fork_server", (channel,), [channel])
        except BaseException:
            ours.close()
            raise
        self._be_asked_on(ours)

    def end_if_stopped(self) -> bool:
        """See :meth:`Forking.end_if_stopped`. And forget it if it has ended: who asks next starts another one.

        Where another thread holds the start lock, that sees to it.
        """
        lock, taken = forks.start_lock(), list[bool]()
        try:
            return noted(taken, lock.acquire, False) and self._end_if_stopped()
        finally:
            if True in taken:
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

    def end(self) -> None:
        """See :meth:`Forking.end`."""
        pid = self.pid
        self.abandon()
        if pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                await_death(lambda: os.waitpid(pid, os.WNOHANG)[0])


def is_readable(descriptor: int, milliseconds: int) -> bool:
    """Whether there is something to be read, or the end of it, within this time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
