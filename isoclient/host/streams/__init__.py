"""The streams: one call of the app each, with its ``receive`` and its ``send``.

A stream is driven from two sides. Events come in (:meth:`Stream.delivered`, :meth:`Stream.cancel`); the app awaits
``receive`` and ``send``. Both happen on the event loop, so nothing here needs a lock. What the two event loops have not
in common is behind :class:`~isoclient.host.runtime.Runtime`.

A further kind is a class with a name of its own, and an entry in :data:`STREAMS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from isoclient.host.streams.asked import CallStream, InspectStream, PingStream, StateStream
from isoclient.host.streams.base import Stream
from isoclient.host.streams.http import HTTPStream
from isoclient.host.streams.lifespan import LifespanStream
from isoclient.host.streams.websocket import WebSocketStream
from isoclient.wire.protocol import StreamKind

__all__ = ["STREAMS", "HTTPStream", "LifespanStream", "Stream"]

STREAMS: Final[Mapping[StreamKind, type[Stream]]] = {
    kind.kind: kind
    for kind in (HTTPStream, WebSocketStream, LifespanStream, CallStream, StateStream, InspectStream, PingStream)
}
