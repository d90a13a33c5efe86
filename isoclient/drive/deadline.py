"""When a wait ends, whatever happens."""

from __future__ import annotations

from math import ceil, inf
from typing import Final

from isoclient.drive.failures import DeadlineExceeded
from isoclient.drive.prompts import is_at_work, prompts
from isoclient.system.modules import threading, time

__all__ = ["Deadline"]

_LOOK: Final = 100  # milliseconds that whoever waits may not have looked


class Deadline:
    """A point in time so many seconds from now, or from when the last debugger's prompt was closed.

    Args:
        seconds: how long a wait may take; None, or an infinite number, for no limit, which only the user may choose.

    Example:
        >>> 59 < Deadline(60).remaining() <= 60
        True
    """

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds = None if seconds == inf else seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """What is left, in seconds; never negative."""
        end, seconds = self._end, self.seconds
        if end is None or seconds is None:
            return None
        if prompts.last_end > end - seconds:
            end = prompts.last_end + seconds
        remaining = end - time.monotonic()
        return remaining if remaining > 0.0 else 0.0

    def moment(self) -> int:
        """How many milliseconds to wait now, of the time that there is: who waits for a process looks around often.

        Rounded up, so that a wait never ends before its time.

        Example:
            >>> Deadline(0.007).moment(), Deadline(60).moment(), Deadline(None).moment()
            (7, 100, 100)
        """
        remaining = self.remaining()
        return _LOOK if remaining is None or remaining > _LOOK / 1000 else ceil(remaining * 1000)

    def lock_timeout(self) -> float:
        """The same as ``Lock.acquire`` takes it."""
        remaining = self.remaining()
        return -1 if remaining is None else min(remaining, threading.TIMEOUT_MAX)

    def check(self) -> None:
        """To be called after a wait that was as long as :meth:`remaining` said.

        While a debugger is at work nothing is late: then the deadline begins anew, and so should the wait.

        Raises:
            DeadlineExceeded: it has passed.
        """
        if self.remaining() != 0.0:
            return
        if self.seconds is None or not is_at_work():
            raise DeadlineExceeded(self.seconds)
        # At least a little, so that a deadline of 0 does not make its waits a busy loop.
        self._end = time.monotonic() + max(self.seconds, 0.1)
