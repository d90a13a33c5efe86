"""Both ends of the wire, joined in memory: no socket, no process, no time."""

from __future__ import annotations

from isoclient.wire.frames import ReferenceCodec, ValueCodec
from isoclient.wire.mux import Event, Mux, Stream
from isoclient.wire.protocol import OPEN, CallSpec, Message


class ConnectionPair:
    """What the one end has in its outbox the other end is fed, when a test says so.

    Args:
        codec: that of both ends.
    """

    def __init__(self, codec: ValueCodec | ReferenceCodec | None = None) -> None:
        self.codec = codec or ValueCodec()
        self.client = Mux("client", self.codec)
        self.server = Mux("server", self.codec)

    def to_server(self, size: int | None = None) -> list[Event]:
        """Move what the client has said, in pieces of so many bytes; return what the server hears."""
        return feed(self.server, self.client.data_to_send(), size)

    def to_client(self, size: int | None = None) -> list[Event]:
        """The other way."""
        return feed(self.client, self.server.data_to_send(), size)

    def open(self, *messages: Message) -> tuple[Stream, Stream]:
        """A stream, as the client has it and as the server has it."""
        ours = self.client.open(CallSpec("http", {"path": "/"}, messages))
        [(kind, theirs, spec)] = self.to_server()
        assert (kind, spec.messages) == (OPEN, messages)
        assert theirs is not None
        return ours, theirs


def feed(mux: Mux, data: bytes, size: int | None = None) -> list[Event]:
    """Feed data in pieces of so many bytes."""
    size = size or len(data) or 1
    return [event for at in range(0, len(data), size) for event in mux.feed(data[at : at + size])]
