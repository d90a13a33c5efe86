"""The messages that an app may send: the keys of each, their kinds and their defaults. Order is no concern here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoclient.asgi import kinds
from isoclient.asgi.kinds import Wrong, accept_headers, headers, links

Message = dict[str, Any]
Field = tuple[str, Callable[[object], object], object]

_REQUIRED = object()  # No reader takes it, so that a missing key costs nothing to look for.


class Schema:
    """One type of message.

    Args:
        kind: its ``type``.
        fields: for each key its name, its reader and its default.
        flag: the key of the bool, if any, on which the next state depends: ``more_body``, for one.
        also: what holds between keys; it may change the message, and raises :class:`Wrong`.
    """

    __slots__ = ("also", "fields", "flag", "kind")

    def __init__(
        self, kind: str, *fields: Field, flag: str | None = None, also: Callable[[Message], None] | None = None
    ) -> None:
        self.kind = kind
        self.fields = fields
        self.flag = flag
        self.also = also

    def read(self, message: Message) -> Message:
        """A fresh message with every key of the schema, and no other.

        Raises:
            Wrong: a key is missing, or has a value of a wrong kind; the text names the key.
        """
        read: Message = {"type": self.kind}
        try:
            for key, reader, default in self.fields:
                read[key] = reader(message.get(key, default))
        except Wrong as wrong:
            if key not in message:
                raise Wrong(f"{key!r} is missing", wrong.must) from None
            wrong.inside(repr(key))
            raise
        if self.also is not None:
            self.also(read)
        return read


def _one_of_text_and_bytes(message: Message) -> None:
    if (message["text"] is None) is (message["bytes"] is None):
        have = "neither" if message["text"] is None else "both"
        raise Wrong(f"{have} of 'text' and 'bytes' is set", "send exactly one of them, a str or bytes")


def _without_trailers(message: Message) -> None:
    # The denial response has the keys of the other, but no message to send the trailers with.
    message["trailers"] = False


_START: tuple[Field, ...] = (
    ("status", kinds.status, _REQUIRED),
    ("headers", headers, ()),
    ("trailers", kinds.boolean, False),
)
_BODY: tuple[Field, ...] = (("body", kinds.binary, b""), ("more_body", kinds.boolean, False))
_TRAILERS: tuple[Field, ...] = (("headers", headers, _REQUIRED), ("more_trailers", kinds.boolean, False))
_REASON: Field = ("reason", kinds.reason, "")
_ACCEPT: tuple[Field, ...] = (("subprotocol", kinds.subprotocol, None), ("headers", accept_headers, ()))
_SEND: tuple[Field, ...] = (("text", kinds.optional_text, None), ("bytes", kinds.optional_binary, None))
_WHY: Field = ("message", kinds.string, "")

START = Schema("http.response.start", *_START, flag="trailers")
BODY = Schema("http.response.body", *_BODY, flag="more_body")
TRAILERS = Schema("http.response.trailers", *_TRAILERS, flag="more_trailers")
PATHSEND = Schema("http.response.pathsend", ("path", kinds.path, _REQUIRED))
EARLY_HINT = Schema("http.response.early_hint", ("links", links, _REQUIRED))
DEBUG = Schema("http.response.debug", ("info", kinds.info, _REQUIRED))
TEMPLATE = Schema("http.response.template", ("template", kinds.anything, None), ("context", kinds.info, _REQUIRED))

ACCEPT = Schema("websocket.accept", *_ACCEPT)
SEND = Schema("websocket.send", *_SEND, also=_one_of_text_and_bytes)
CLOSE = Schema("websocket.close", ("code", kinds.close_code, 1000), _REASON)
# Before the handshake is answered, a close is a plain 403: neither goes anywhere, and no server looks at them. FastAPI
# gives a list of what is wrong with the input as the reason.
REFUSE = Schema("websocket.close", ("code", kinds.integer, 1000), ("reason", kinds.any_reason, ""))
DENIAL_START = Schema("websocket.http.response.start", *_START, also=_without_trailers)
DENIAL_BODY = Schema("websocket.http.response.body", *_BODY, flag="more_body")

STARTUP_COMPLETE = Schema("lifespan.startup.complete")
STARTUP_FAILED = Schema("lifespan.startup.failed", _WHY)
SHUTDOWN_COMPLETE = Schema("lifespan.shutdown.complete")
SHUTDOWN_FAILED = Schema("lifespan.shutdown.failed", _WHY)
