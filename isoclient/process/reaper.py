"""The end of a child process: seeing it, hastening it, and knowing how it came."""

from __future__ import annotations

import contextlib
from typing import Final

from isoclient.drive.blocking import discard_until
from isoclient.drive.connection import Connection
from isoclient.drive.waiting import Deadline
from isoclient.process.popen import AppPopen
from isoclient.system import pidfds
from isoclient.system.descriptors import Belongings
from isoclient.system.locks import make_lock
from isoclient.system.modules import io, os, signal

__all__ = ["Reaper", "is_stopped"]

_PAUSE: Final = 0.002  # seconds between two looks where there are no pidfds


class Reaper:
    """Waits for one process.

    Args:
        popen: the process.
        connection: the pipe to it, which is read while it is waited for: it may have to write before it can end.

    Attributes:
        takes_word: whether its word that it leaves is as good as its end.
    """

    takes_word = False

    def __init__(self, popen: AppPopen, connection: Connection) -> None:
        self._popen = popen
        self._connection = connection
        self._lock = make_lock()
        self._belongings = Belongings()
        self._pidfd = -1
        self._is_closed = False
        self._group_ended = False
        # Where there are no pidfds, the end of file is all there is to see.
        if pidfds.are_there():
            # No such process: dead, and reaped by the fork server. The end of file and its sentinel tell that too.
            try:
                self._pidfd = self._belongings.make(os.pidfd_open, popen.pid)
                connection.watch(self._pidfd)
            except ProcessLookupError:
                self._end_group()

    @property
    def exitcode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs, or where nobody knows.

        Somebody else may have waited for it, or whoever would have told it has died.
        """
        if self.has_departed:
            return 0
        return self._popen.returncode if self._popen.has_told else None

    @property
    def has_departed(self) -> bool:
        """Whether it has told that it leaves, and that is enough. The system has yet to take it apart, most likely."""
        return self.takes_word and self._connection.server.leaving and self._popen.returncode is None

    def wait(self, seconds: float) -> bool:
        """Wait for its end; return whether it has ended."""
        deadline = Deadline(seconds)
        while not self._has_ended(deadline.remaining() or 0.0):
            if deadline.remaining() == 0.0 and not self._connection.has_prompt:
                return False
        if self.has_departed:
            with self._lock:
                self._end_group()  # itself as well, which has nothing left to do
        return True

    def _has_ended(self, seconds: float) -> bool:
        pidfd = self._pidfd
        if self._is_over():
            return True
        if pidfd < 0:
            discard_until(self._connection, None, min(_PAUSE, seconds))
        elif not discard_until(self._connection, pidfd, seconds):
            return False
        with self._lock:
            # While this thread waited for a call, another one may have closed the client, and the descriptors with it.
            if self._is_over():
                return True
            if pidfd >= 0:
                # As long as nobody has waited for it, its number can't belong to anybody else.
                self._end_group()
            has_ended = self._popen.poll_ended() is not None or self._is_gone()
            if has_ended:
                self._end_group()  # without a pidfd that is known only now; nor does another get the number of a group
        while has_ended and pidfd < 0 and discard_until(self._connection, None, 0.0):
            pass  # its last words are not to be lost
        return has_ended

    def _is_over(self) -> bool:
        return self._is_closed or self._popen.returncode is not None or self.has_departed

    def _is_gone(self) -> bool:
        """It has ended, and how is not known: somebody else in this process has waited for it."""
        try:
            os.kill(self._popen.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        with self._lock, contextlib.suppress(OSError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            elif not self._is_over():
                os.kill(self._popen.pid, number)

    def _end_group(self) -> None:
        """What the app has started and left behind goes with it."""
        if not self._group_ended:
            self._group_ended = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def is_stopped(self) -> bool:
        """See :func:`is_stopped`."""
        return is_stopped(self._popen.pid)

    def catches(self, number: int) -> bool:
        """Whether it has a handler for this signal; True where that can't be seen."""
        try:
            with io.open(f"/proc/{self._popen.pid}/status", encoding="utf-8", errors="replace") as file:
                masks = [line.split()[1] for line in file if line.startswith("SigCgt:")]
        except OSError:
            return True
        return not masks or bool(int(masks[0], 16) >> (number - 1) & 1)

    def close(self) -> None:
        """Close the descriptors."""
        with self._lock:
            self._is_closed = True
            self._pidfd = -1
            self._connection.unwatch(self._belongings.close)
            if self.has_departed:
                self._popen.let_go()
            self._popen.close()

    def abandon(self) -> None:
        """In a fork: close the descriptors."""
        self.close()


def is_stopped(pid: int) -> bool:
    """Whether it is stopped (SIGSTOP), so that it can't answer; False where that can't be seen."""
    try:
        with io.open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "Tt"
    except (OSError, IndexError):
        return False
