"""What tasks wait for: the readiness of a connection, as a descriptor that any event loop can watch.

Each loop whose tasks wait watches it for itself, so none depends on another one that may stand still by then. The
descriptor is ready as long as there is something to do: whoever comes late misses nothing.
"""

from __future__ import annotations

import contextlib
from typing import Final

from isoclient.system.modules import select, socket

__all__ = ["Readiness"]

_IN: Final = getattr(select, "EPOLLIN", 0)
_OUT: Final = getattr(select, "EPOLLOUT", 0)


class Readiness:
    """The readiness of a socket, and of what tells that the other side has ended.

    Args:
        sock: the socket.
        watched: a pidfd; -1 for none.

    Attributes:
        leaders: for each event loop that watches it, a token of the one task that does.
    """

    __slots__ = ("_epoll", "_sock", "_writes", "leaders")

    def __init__(self, sock: socket.socket, watched: int) -> None:
        self.leaders: dict[object, object] = {}
        self._sock = sock
        self._writes = False
        self._epoll = select.epoll() if hasattr(select, "epoll") else None  # a platform without has no pidfds either
        if self._epoll is not None:
            self._epoll.register(sock, _IN)
            if watched >= 0:
                self._epoll.register(watched, _IN)

    @property
    def descriptor(self) -> int:
        """Readable if the socket is, or if the other side has ended; or if it is writable and that is asked for.

        Without epoll it is the socket itself, and who has to write tries that each time that it looks around.
        """
        return self._sock.fileno() if self._epoll is None else self._epoll.fileno()

    def ask_to_write(self, asks: bool) -> None:
        """Whether it is to be told that the socket takes more."""
        if asks != self._writes and self._epoll is not None:
            self._writes = asks
            with contextlib.suppress(OSError, ValueError):  # it is closed, as who waits for it will learn
                self._epoll.modify(self._sock, _IN | _OUT if asks else _IN)

    def close(self) -> None:
        """Idempotent."""
        if self._epoll is not None:
            self._epoll.close()
