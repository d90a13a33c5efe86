"""The streams: one call of the app each, with its ``receive`` and its ``send``.

A stream is driven from two sides. Events come in (:meth:`Stream.delivered`, :meth:`Stream.cancel`); the app awaits
``receive`` and ``send``. Both happen on the event loop, so nothing here needs a lock. What the two event loops have not
in common is behind :class:`~isoclient.server.runtime.Runtime`.

A further kind is a class with a name of its own, and an entry in :data:`STREAMS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from isoclient.server.streams.asked import CallStream, InspectStream, PingStream, StateStream
from isoclient.server.streams.base import Stream
from isoclient.server.streams.http import HTTPStream
from isoclient.server.streams.lifespan import LifespanStream
from isoclient.server.streams.websocket import WebSocketStream
from isoclient.wire.protocol import StreamKind

__all__ = ["STREAMS", "HTTPStream", "LifespanStream", "Stream"]

STREAMS: Final[Mapping[StreamKind, type[Stream]]] = {
    kind.kind: kind
    for kind in (HTTPStream, WebSocketStream, LifespanStream, CallStream, StateStream, InspectStream, PingStream)
}
