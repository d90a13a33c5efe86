"""The kinds of calls: what the test can ask of the app, and of the process that it runs in.

A further kind is a class with a name of its own in the protocol, and an entry in :data:`CALLS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from isoclient.server.calls.http import HTTPCall
from isoclient.server.calls.lifespan import LifespanCall
from isoclient.server.calls.questions import QuestionCall
from isoclient.server.calls.relayed import RelayedCall, RelayedLifespan
from isoclient.server.calls.websocket import WebSocketCall
from isoclient.server.server import Call
from isoclient.wire.protocol import CallKind

__all__ = ["CALLS"]

CALLS: Final[Mapping[CallKind, type[Call]]] = {
    call.kind: call for call in (HTTPCall, WebSocketCall, LifespanCall, RelayedCall, RelayedLifespan, QuestionCall)
}
