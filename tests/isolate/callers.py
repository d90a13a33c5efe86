"""Those who call an app: clients of several kinds, and functions by hand, on both event loops."""

from __future__ import annotations

import asyncio
import importlib.util
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import httpx
import pytest
import trio

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions of Starlette prefer httpx2, and take httpx all the same
    import litestar.testing
    import starlette.testclient

__all__ = ["CALLERS", "Answer", "Caller", "Outer", "http_scope", "on_asyncio", "on_trio", "starlette_client"]


_T = TypeVar("_T")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


Caller = Callable[..., Answer]
"""Makes a request: of an app, by a method, to a path, with a body."""


def http_scope(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test")],
        "client": ("test", 1),
        "server": ("test", 80),
        **more,
    }


class Outer:
    """The functions by hand: they give what is there, and keep what comes."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.sent: list[Any] = []
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def answer(self) -> Answer:
        start = self.sent[0]
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(message["body"] for message in self.sent[1:]))


def on_asyncio(func: Callable[..., Awaitable[_T]], *args: Any) -> _T:
    async def run() -> _T:
        return await func(*args)

    return asyncio.run(run())


def on_trio(func: Callable[..., Awaitable[_T]], *args: Any) -> _T:
    return trio.run(func, *args)


async def _by_hand(app: Any, method: str, path: str, body: bytes) -> Answer:
    outer = Outer({"type": "http.request", "body": body, "more_body": False})
    await app(http_scope(path, method), outer.receive, outer.send)
    return outer.answer()


async def _by_httpx(app: Any, method: str, path: str, body: bytes) -> Answer:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return _answer(await client.request(method, path, content=body))


def _answer(response: Any) -> Answer:
    return Answer(response.status_code, dict(response.headers), response.content)


def _by_hand_on_asyncio(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    return on_asyncio(_by_hand, app, method, path, body)


def _by_hand_on_trio(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    return on_trio(_by_hand, app, method, path, body)


def _httpx_on_asyncio(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    return on_asyncio(_by_httpx, app, method, path, body)


def _httpx_on_trio(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    return on_trio(_by_httpx, app, method, path, body)


def starlette_client(app: Any) -> starlette.testclient.TestClient:
    return starlette.testclient.TestClient(app)


def _starlette(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    return _answer(starlette.testclient.TestClient(app).request(method, path, content=body))


def _starlette_on_trio(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    client = starlette.testclient.TestClient(app, backend="trio")
    return _answer(client.request(method, path, content=body))


def _litestar(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    with litestar.testing.TestClient(app) as client:
        return _answer(client.request(method, path, content=body))


def _async_asgi_testclient(app: Any, method: str, path: str, body: bytes = b"") -> Answer:
    from async_asgi_testclient import TestClient

    async def call() -> Answer:
        return _answer(await TestClient(app).open(path, method=method, data=body))

    return on_asyncio(call)


CALLERS: Final = [
    pytest.param(_by_hand_on_asyncio, id="by-hand-asyncio"),
    pytest.param(_by_hand_on_trio, id="by-hand-trio"),
    pytest.param(_httpx_on_asyncio, id="httpx-asyncio"),
    pytest.param(_httpx_on_trio, id="httpx-trio"),
    pytest.param(_starlette, id="starlette"),
    pytest.param(_starlette_on_trio, id="starlette-trio"),
    pytest.param(_litestar, id="litestar"),
    pytest.param(
        _async_asgi_testclient,
        id="async-asgi-testclient",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("async_asgi_testclient") is None, reason="async-asgi-testclient is not installed"
        ),
    ),
]
