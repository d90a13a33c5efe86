"""The server's end of the pipe: a non-blocking socket, whose bytes a multiplexer takes and gives."""

from __future__ import annotations

import sys

from isoclient.drive.sending import write_out
from isoclient.system.modules import os, socket
from isoclient.wire.codec import Codec
from isoclient.wire.mux import Event, Mux
from isoclient.wire.protocol import WireError

__all__ = ["Pipe"]


class Pipe:
    """What both event loops do with the socket, apart from waiting for it.

    Args:
        sock: the socket; it is made non-blocking.
        codec: how values cross.

    Attributes:
        sock: the socket.
        mux: the server's end of the wire.
    """

    def __init__(self, sock: socket.socket, codec: Codec) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._forked = False
        self.sock = sock
        self.mux = Mux("server", codec)

    def close_in_forks(self) -> None:
        """Forks that the app makes share the socket, and the event loop's epoll instance, with this process.

        One that comes back from the app's code to ours, as after a bare ``os.fork()`` in a handler, must neither read
        frames that are ours, nor write any twice, nor take anything out of the loop: it ends there.
        """
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._forked = True
        self.sock.close()

    def read(self) -> list[Event] | None:
        """The events that a read now completes; None at the end of file, when the test is gone or done with us."""
        if self._forked:
            os._exit(0)
        try:
            count = self.sock.recv_into(self.mux.get_buffer())
        except BlockingIOError:
            return []
        except OSError:
            # ECONNRESET is what a peer that died with our frames unread leaves; EBADF, an app that closed it.
            return None
        if count == 0:
            return None
        try:
            return self.mux.buffer_updated(count)
        except WireError as error:
            # After a damaged frame nothing that follows can be trusted. The other side learns it by our end.
            print(f"isoclient: what came from the test makes no sense: {error}", file=sys.stderr)
            return None

    def write(self) -> bool:
        """Write what the socket takes; True when nothing is left."""
        if self._forked:
            os._exit(0)
        try:
            return write_out(self.mux.outbox, self.sock)
        except OSError:
            self.mux.outbox.clear()
            return True
