"""The ASGI rules: what an app may send on each kind of stream, and in which order.

Pure: no I/O, no clock, no event loop. Each stream has one object, to which every message that the app sends is shown::

    rules = HTTPRules()
    message = rules.check(message)  # raises AppProtocolError in the app, at its ``send``

They follow ASGI HTTP & WebSocket 2.5 with the extensions for trailers, path send, early hints, debug and the denial
response, and ASGI Lifespan 2.0.

Imports run one way: schemas <- tables <- explain <- rules <- http_rules, websocket_rules, lifespan_rules.
"""

from isoclient.asgi.http_rules import HTTPRules
from isoclient.asgi.lifespan_rules import LifespanRules
from isoclient.asgi.rules import Rules
from isoclient.asgi.schemas import Message
from isoclient.asgi.websocket_rules import WebSocketRules

__all__ = ["HTTPRules", "LifespanRules", "Message", "Rules", "WebSocketRules"]
