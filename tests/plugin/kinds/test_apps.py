"""Tests that share memory with their apps."""

from __future__ import annotations

import os
from typing import Any

from starlette.testclient import TestClient as StarlettesClient

from isoclient import TestClient

events: list[str] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    events.append(scope["path"])
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


at_import = TestClient(app)
starlettes_at_import = StarlettesClient(app)


def test_our_client() -> None:
    events.clear()
    assert TestClient(app).get("/ours").text == str(os.getpid())
    assert at_import.get("/import").text == str(os.getpid())
    assert events == ["/ours", "/import"]


def test_starlettes_client() -> None:
    events.clear()
    with StarlettesClient(app) as client:
        assert client.app is app
        assert client.get("/starlettes").text == str(os.getpid())
    assert starlettes_at_import.get("/import").text == str(os.getpid())
    assert events == ["/starlettes", "/import"]


def test_a_client_that_says_so() -> None:
    events.clear()
    with TestClient(app, isolated=True) as client:
        assert client.get("/").text != str(os.getpid())
    assert events == []
