"""The end of a connection that threads may still be using: who may go on, and when its descriptors can be closed."""

from __future__ import annotations

from collections.abc import Callable

from isoclient.drive.failures import ConnectionLost
from isoclient.system.modules import threading

__all__ = ["Closing"]


class Closing:
    """How far the end of a connection has come.

    A descriptor that is closed while a thread polls it, or is about to, may be somebody else's by then. So each of them
    says first that it is there, then looks whether it may, and calls :meth:`close_unused` when it leaves; and who
    closes says first what is to be closed, and then looks who is there.

    Attributes:
        watchers: a token for each thread that polls without leading or writing.
    """

    __slots__ = ("_closer", "_unused", "watchers")

    def __init__(self) -> None:
        self._closer: int | None = None  # the thread that alone may go on, once this has begun; 0 for none
        self._unused: list[Callable[[], object]] = []
        self.watchers: set[object] = set()

    def begin(self, *, but_this_thread: bool) -> None:
        """Nobody may go on; or this thread alone, which closes it."""
        if but_this_thread:
            self._closer = threading.get_ident()
        elif self._closer is None:
            self._closer = 0

    @property
    def has_begun(self) -> bool:
        """Whether some thread closes it."""
        return self._closer is not None

    @property
    def is_by_another(self) -> bool:
        """Whether it has begun, and this is not the thread that closes."""
        return self._closer is not None and self._closer != threading.get_ident()

    def check(self) -> None:
        """Raise ConnectionLost if another thread closes."""
        if self._closer is not None and self.is_by_another:
            raise ConnectionLost("the connection is being closed", closed_here=True)

    def add(self, close: Callable[[], object]) -> None:
        """This closes a descriptor, however often it is called."""
        self._unused.append(close)

    def close_unused(self, others: object) -> None:
        """Close what has been added, unless somebody uses it: a watcher, or one of the others."""
        if self._unused and not (others or self.watchers):
            for close in self._unused:
                close()
