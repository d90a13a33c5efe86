"""Which of the threads that wait for an app reads for all of them."""

from __future__ import annotations

from isoclient.system.modules import threading

__all__ = ["Lead"]


class Lead:
    """Which thread reads: a lock that is only ever tried, and that knows its holder.

    An exception out of a signal handler, such as Ctrl-C, may come between any two steps, and so between taking a lock
    and the ``try`` that would give it back. Such a thread has this one still, and goes on with it at its next wait.

    Attributes:
        reader: the thread that reads. It is set first in a ``try`` and unset first in its ``finally``, by assignments,
            before which nothing can come; a call would not do.
    """

    __slots__ = ("_holder", "reader")

    def __init__(self) -> None:
        self._holder: dict[str, int] = {}
        self.reader = 0

    def take(self) -> bool:
        """Whether this thread leads now; not if it does so already, further down its stack."""
        return not self.is_ours and self._holder.setdefault("thread", threading.get_ident()) == threading.get_ident()

    def give_back(self) -> None:
        """After this, any thread can take it."""
        self._holder.clear()

    @property
    def is_ours(self) -> bool:
        """Whether this thread reads, further down its stack."""
        return self.reader == threading.get_ident()

    @property
    def is_taken(self) -> bool:
        """Whether some thread leads."""
        return bool(self._holder)
