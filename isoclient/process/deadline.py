"""When a wait ends, whatever happens."""

from __future__ import annotations

from math import ceil
from time import monotonic

from isoclient.process.errors import DeadlineExceeded

__all__ = ["Deadline"]


class Deadline:
    """A point in time so many seconds from now.

    Args:
        seconds: how long a wait may take; None for no limit, which only the user may choose.

    Example:
        >>> Deadline(60).milliseconds() > 59_000
        True
    """

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else monotonic() + seconds

    def remaining(self) -> float | None:
        """What is left, in seconds; never negative."""
        return None if self._end is None else max(0.0, self._end - monotonic())

    def milliseconds(self) -> int | None:
        """The same as ``poll`` takes it: rounded up, so that a wait never ends before its time."""
        remaining = self.remaining()
        return None if remaining is None else ceil(remaining * 1000)

    def lock_timeout(self) -> float:
        """The same as ``Lock.acquire`` takes it."""
        remaining = self.remaining()
        return -1 if remaining is None else remaining

    def exceeded(self) -> DeadlineExceeded:
        """The error to raise."""
        return DeadlineExceeded(self.seconds)
