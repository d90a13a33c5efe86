"""What waits to be written to the pipe, in order, whole frames only."""

from __future__ import annotations

from collections import deque
from typing import Final

from isoclient.link.system import socket

__all__ = ["Outbox"]

_MOST_PARTS: Final = 64  # well under any IOV_MAX
_JOINED: Final = 16 * 1024  # parts up to this size are cheaper to copy together than to pass one by one
# EPIPE will do. SIGPIPE would end a process that has it at its default: the test's, if the app dies, or the app's.
_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)


class Outbox:
    """A queue of bytes and the means to write as much of it as a non-blocking socket takes.

    Example:
        >>> box = Outbox()
        >>> box.put(b"head", b"payload")
        >>> box.size
        11
    """

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: deque[bytes | memoryview] = deque()
        self.size = 0

    def put(self, head: bytes, payload: bytes = b"") -> None:
        """Add a frame: its packed head, and its payload."""
        self._parts.append(head)
        if payload:
            self._parts.append(payload)
        self.size += len(head) + len(payload)

    def clear(self) -> None:
        """Forget what waits: the other side is gone."""
        self._parts.clear()
        self.size = 0

    def write(self, sock: socket.socket) -> bool:
        """Write what the socket takes; True when nothing is left.

        Raises:
            OSError: the other side is gone (EPIPE, ECONNRESET). What waits is then of no use.
        """
        while self.size:
            try:
                written = self._write_some(sock)
            except BlockingIOError:
                return False
            self._drop(written)
        return True

    def _write_some(self, sock: socket.socket) -> int:
        parts = self._parts
        if len(parts) == 1:
            return sock.send(parts[0], _NO_SIGNAL)
        if self.size <= _JOINED:
            data = b"".join(parts)
            parts.clear()
            parts.append(data)
            return sock.send(data, _NO_SIGNAL)
        return sock.sendmsg([part for part, _ in zip(parts, range(_MOST_PARTS), strict=False)], (), _NO_SIGNAL)

    def _drop(self, count: int) -> None:
        self.size -= count
        parts = self._parts
        while count:
            first = parts[0]
            if count < len(first):
                parts[0] = memoryview(first)[count:]
                return
            count -= len(first)
            parts.popleft()
