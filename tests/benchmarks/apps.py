"""The apps that are measured: one without a framework, so that what is measured is the client, and two on FastAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MEGABYTE: Final = 1 << 20
_TEXT: Final = b"Hello, world!"


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """``/`` says hello; ``/down/N/SIZE`` sends N pieces of SIZE bytes; ``/up`` counts; ``/wait`` takes 10 ms."""
    if scope["type"] == "http":
        await _respond(scope["path"], receive, send)
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    else:
        await _live(receive, send)


async def _respond(path: str, receive: Receive, send: Send) -> None:
    if path.startswith("/down/"):
        await _download(path, send)
    elif path == "/up":
        await _answer(send, b"%d" % await _size_of_body(receive))
    else:
        if path == "/wait":
            await asyncio.sleep(0.01)
        await _answer(send, _TEXT)


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _download(path: str, send: Send) -> None:
    count, size = map(int, path.removeprefix("/down/").split("/"))
    piece = bytes(size)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(count):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _size_of_body(receive: Receive) -> int:
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return size


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class Order(BaseModel):
    """A body of about 2 KB, as JSON."""

    customer: str
    items: list[dict[str, int | str]]


ORDER: Final = {
    "customer": "Ada",
    "items": [{"number": number, "title": f"The book of number {number}", "price": 1999} for number in range(32)],
}


def _make_shop() -> FastAPI:
    app = FastAPI()

    async def hello() -> str:
        return "Hello, world!"

    async def take(order: Order) -> Order:
        return order

    app.post("/orders")(take)
    for number in range(49):
        app.get(f"/route/{number}")(hello)
    return app


shop = _make_shop()
"""FastAPI, with 50 routes."""
