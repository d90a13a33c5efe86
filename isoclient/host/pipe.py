"""The host's end of the pipe: a non-blocking socket, read by frames and written from an outbox."""

from __future__ import annotations

import socket

from isoclient.link.errors import LinkError
from isoclient.link.frames import Frame, FrameReader
from isoclient.link.outbox import Outbox

__all__ = ["Pipe"]


class Pipe:
    """What both event loops do with the socket, apart from waiting for it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.outbox = Outbox()
        self._reader = FrameReader()

    def read(self) -> list[Frame] | None:
        """The frames that a read now completes; None at the end of file: the test's process is gone, or done with us."""
        try:
            count = self.sock.recv_into(self._reader.get_buffer())
        except BlockingIOError:
            return []
        except OSError:
            # ECONNRESET is what a peer that died with our frames unread leaves; EBADF, an app that closed it.
            return None
        if count == 0:
            return None
        try:
            return self._reader.buffer_updated(count)
        except LinkError:
            # After a damaged frame nothing that follows can be trusted. The other side learns it by our end.
            return None

    def write(self) -> bool:
        """Write what the socket takes; True when nothing is left."""
        try:
            return self.outbox.write(self.sock)
        except OSError:
            self.outbox.clear()
            return True
