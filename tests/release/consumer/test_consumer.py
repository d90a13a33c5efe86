"""A project that uses isoclient, as strict type checkers see it, which is also run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import pytest

import isoclient
from isoclient import AppCrashed, AppTimeout, Limits, Response, TestClient, isolate

Message = MutableMapping[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": '{"hello": "world"}'})
        await send({"type": "websocket.close"})
        return
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Hello"})


def price() -> int:
    return 5


@isoclient.at_start
def begin() -> None:
    pass


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app, isolated=True, limits=Limits(memory=2**30), timeout=10) as client:
        yield client


def test_get(client: TestClient) -> None:
    response: Response = client.get("/", params={"name": "ada"}, headers={"accept": "text/plain"})
    status: int = response.status_code
    text: str = response.text
    assert (status, text, response.is_success) == (200, "Hello", True)
    assert client.pid > 0


def test_post_and_stream(client: TestClient) -> None:
    assert client.post("/", json={"a": 1}).ok
    with client.stream("GET", "/") as response:
        assert b"".join(response.iter_bytes()) == b"Hello"


def test_websocket(client: TestClient) -> None:
    with client.websocket_connect("/", subprotocols=["v1"]) as session:
        assert session.receive_json() == {"hello": "world"}
        with pytest.raises(isoclient.WebSocketDisconnect) as raised:
            session.receive_text(timeout=5)
    code: int = raised.value.code
    assert code == 1000


def test_call_and_patched(client: TestClient) -> None:
    assert client.call(price) == 5
    with client.patched("os.getlogin", return_value="ada") as patched:
        assert patched.call_count == 0
    client.restart()


def test_errors_are_typed() -> None:
    def said(error: AppCrashed | AppTimeout) -> str:
        if isinstance(error, AppCrashed):
            pid: int = error.pid
            exitcode: int | None = error.exitcode
            return f"{pid} {exitcode} {error.signal} {error.stderr} {error.stack} {error.limit}"
        seconds: float | None = error.seconds
        return f"{seconds} {error.stack} {error.tasks}"

    assert said(AppTimeout("too long", seconds=1.0)) == "1.0  "


def test_isolate() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    with isolate(app, backend="asyncio") as isolated:
        asyncio.run(isolated({"type": "http", "method": "GET", "path": "/"}, receive, send))
        assert isolated.pid > 0
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_the_fixture_of_the_plugin(isolated_client: Callable[..., TestClient]) -> None:
    assert isolated_client(app).get("/").text == "Hello"
