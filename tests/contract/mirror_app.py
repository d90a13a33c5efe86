"""An app that tells what it was asked, and what apps of the same tests are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Receive, Scope, Send


async def read(receive: Receive) -> bytes:
    pieces, more = [], True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        pieces.append(message["body"])
        more = message["more_body"]
    return b"".join(pieces)


async def respond(send: Send, body: bytes = b"", *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it was asked."""
    told = {
        "method": scope["method"],
        "scheme": scope["scheme"],
        "server": scope["server"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
        "body": (await read(receive)).decode("latin-1"),
    }
    await respond(send, json.dumps(told).encode(), (b"content-type", b"application/json"))
