"""A WebSocket handler that crashes the interpreter fails its own test, and only that one."""

import ctypes
import signal
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from isoclient import AppCrashed, TestClient


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "crash":
            ctypes.string_at(0)  # reads address 0: a segmentation fault, as a bug in an extension module would cause
        await websocket.send_text(text)


app = Starlette(routes=[WebSocketRoute("/echo", echo)])


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app, isolated=True) as client:
        yield client


def test_a_crash_is_an_exception_in_the_test(client: TestClient) -> None:
    with pytest.raises(AppCrashed) as crash, client.websocket_connect("/echo") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
        websocket.send_text("crash")
        websocket.receive_text()

    assert crash.value.signal == signal.SIGSEGV
    assert "in echo" in crash.value.stack  # the handler, and the line that it was at


def test_the_next_test_goes_on(client: TestClient) -> None:
    with client.websocket_connect("/echo") as websocket:
        websocket.send_text("still here")
        assert websocket.receive_text() == "still here"
