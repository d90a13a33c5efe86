"""What the app does behind a streamed response, when that is complete and nobody reads it to its end."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import requests

from isoclient.server.server import Server

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


async def settle() -> None:
    """Let every task of the loop come to a stand."""
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


class Background:
    """Answers, and goes on for longer than an app may whose client has left it amid a response."""

    def __init__(self, size: int = 5) -> None:
        self.size = size
        self.done = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(self.size)})
        assert (await receive())["type"] == "http.disconnect"
        await settle()
        if scope["path"] == "/raise":
            raise LookupError("the background task")
        while scope["path"] == "/endless":
            await settle()
        self.done += 1

    async def wait(self, done: int) -> int:
        while self.done < done:
            await anyio.sleep(0.001)
        return self.done


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("size", [5, 10_000_000])
def test_who_leaves_a_complete_response_ends_nothing(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(Server, "grace", 0.0)
    app = Background(size)
    client = make_client(app)
    with client.get("/", stream=True):
        pass
    assert client.call(lambda: app.done) == 1
    with client.get("/", stream=True) as response:
        assert response.raw.read(2) == bytes(2)
    assert client.call(lambda: app.done) == 2
    del response
    client.get("/", stream=True)  # dropped
    gc.collect()
    assert client.call(lambda: app.wait(3)) == 3


@pytest.mark.modes("fork", "thread")
def test_what_it_raises_then_is_raised_by_the_close(make_client: MakeClient) -> None:
    client = make_client(Background())
    response = client.get("/raise", stream=True)
    with pytest.raises(LookupError, match="the background task"):
        response.close()


@pytest.mark.modes("fork", "thread")
def test_the_end_of_the_client_waits_for_it_only_so_long(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "grace", 0.0)
    with make_client(Background()) as client:
        client.get("/endless", stream=True)
        gc.collect()
    with make_client(Background()) as client, pytest.raises(requests.ReadTimeout):
        client.get("/endless", timeout=0.2)
