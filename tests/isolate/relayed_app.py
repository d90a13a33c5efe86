"""The app of these tests: what a call of it does is said by its path. A fresh interpreter imports it, too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class TooBad(Exception):
    """What the app raises."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await PATHS[scope["path"].strip("/").split("/")[0]](scope, receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["started_in"] = os.getpid()
    scope["state"]["lock"] = os  # something that can't cross
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    print("shut down")
    await send({"type": "lifespan.shutdown.complete"})


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/refused":
        await send({"type": "websocket.close", "code": 4001, "reason": "not today"})
        return
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-pid", b"%d" % os.getpid())]})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "raise":
            raise TooBad("amid a WebSocket")
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4002})
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"] * 2})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"] * 2})
    print("disconnected:", message["code"])


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def respond(send: Send, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await body_of(receive)
    await respond(send, body, 201, (b"x-pid", b"%d" % os.getpid()), (b"x-method", scope["method"].encode()))


async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"not read")


async def chunks(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for i in range(20):
        await send({"type": "http.response.body", "body": b"%d," % i, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(64):
        await send({"type": "http.response.body", "body": b"x" * 1024 * 1024, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise TooBad("before the response")


async def raises_amid(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise TooBad("amid the response")


async def breaks_rules(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": "200"})


async def dies(scope: Scope, receive: Receive, send: Send) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    time.sleep(600)


async def shows_state(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, repr(scope.get("state", {}).get("started_in")).encode())


async def waits(scope: Scope, receive: Receive, send: Send) -> None:
    """For the disconnect, which it tells."""
    await body_of(receive)
    print("waiting")
    print("got", (await receive())["type"])


PATHS: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "": echo,
    "echo": echo,
    "unread": unread,
    "chunks": chunks,
    "large": large,
    "raises": raises,
    "raises_amid": raises_amid,
    "breaks_rules": breaks_rules,
    "dies": dies,
    "hangs": hangs,
    "state": shows_state,
    "waits": waits,
}
