"""One WebSocket: the handshake, the messages and the end of it (ASGI WebSocket 2.5, and the denial response)."""

from __future__ import annotations

from isoclient.asgi.rules import BodyRules
from isoclient.asgi.schemas import ACCEPT, CLOSE, DENIAL_BODY, DENIAL_START, REFUSE, SEND
from isoclient.asgi.tables import Protocol, table

__all__ = ["WebSocketRules"]

CONNECTING = "handshake not answered yet"
OPEN = "connection accepted"
CLOSED = "connection closed by the app"
REFUSED = "handshake refused with websocket.close"
DENIAL_STARTED = "denial response started"
DENIAL_BODIED = "denial response body under way"
DENIED = "denial response complete"

_TABLE = table({
    CONNECTING: [(ACCEPT, OPEN), (REFUSE, REFUSED), (DENIAL_START, DENIAL_STARTED)],
    OPEN: [(SEND, OPEN), (CLOSE, CLOSED)],
    DENIAL_STARTED: [(DENIAL_BODY, DENIED, DENIAL_BODIED)],
    DENIAL_BODIED: [(DENIAL_BODY, DENIED, DENIAL_BODIED)],
    CLOSED: [],
    REFUSED: [],
    DENIED: [],
})  # fmt: skip

_ORDER = {
    ACCEPT.kind: "a handshake is answered once",
    SEND.kind: "only an accepted connection carries messages",
    CLOSE.kind: "a denial response ends the connection by itself",
    DENIAL_START.kind: "it takes the place of websocket.accept, once",
    DENIAL_BODY.kind: "it only follows websocket.http.response.start",
}

_UNFINISHED = {
    CONNECTING: "the app returned without answering the handshake; send websocket.accept or websocket.close",
    DENIAL_STARTED: "the app returned after websocket.http.response.start without a body",
    DENIAL_BODIED: "the app returned without the last websocket.http.response.body (more_body was True)",
}


class WebSocketRules(BodyRules):
    """The rules of one WebSocket stream (ASGI WebSocket 2.5; extension denial response).

    An app that returns while the connection is open has broken no rule: the server closes it. Nor has one that returns
    because the client left; so ask for :meth:`unfinished` only while the client is there.

    Example:
        >>> rules = WebSocketRules()
        >>> rules.check({"type": "websocket.accept"})
        {'type': 'websocket.accept', 'subprotocol': None, 'headers': []}
        >>> rules.check({"type": "websocket.send", "text": "hello"})
        {'type': 'websocket.send', 'text': 'hello', 'bytes': None}
    """

    __slots__ = ()

    _start = DENIAL_START
    _body = DENIAL_BODY
    protocol = Protocol("websocket", CONNECTING, _TABLE, _ORDER, _UNFINISHED)

    @property
    def started(self) -> bool:
        """Whether the handshake was answered, in whichever way."""
        return self._state != CONNECTING

    @property
    def accepted(self) -> bool:
        """Whether ``websocket.accept`` was accepted; it stays so after the close."""
        return self._state in (OPEN, CLOSED)

    @property
    def closed(self) -> bool:
        """Whether ``websocket.close`` was accepted, before the handshake's answer or after."""
        return self._state in (CLOSED, REFUSED)

    @property
    def denied(self) -> bool:
        """Whether a denial response is whole."""
        return self._state == DENIED
