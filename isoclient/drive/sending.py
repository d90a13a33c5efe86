"""Writing an outbox to a socket: what both ends of the pipe do, apart from waiting for it."""

from __future__ import annotations

from typing import Final

from isoclient.system.modules import socket
from isoclient.wire.frames import Outbox

__all__ = ["write_out"]

# EPIPE will do. SIGPIPE would end a process that has it at its default: the test's, if the app dies, or the app's.
_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)


def write_out(outbox: Outbox, sock: socket.socket) -> bool:
    """Write what a non-blocking socket takes; True when nothing is left.

    Raises:
        OSError: the other side is gone (EPIPE, ECONNRESET). What waits is then of no use.
    """
    while outbox.parts:
        data = outbox.next()
        try:
            count = sock.sendmsg(data, (), _NO_SIGNAL) if isinstance(data, list) else sock.send(data, _NO_SIGNAL)
        except BlockingIOError:
            return False
        outbox.sent(count)
    return True
