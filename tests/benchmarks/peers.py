"""The clients that isoclient is measured beside, each with the app that it serves."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import getsource
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import requests
from requests.adapters import BaseAdapter

from tests.benchmarks import apps
from tests.benchmarks.harness import Case

ROOT: Final = Path(__file__).resolve().parents[2]
_SERVER: Final = """
import socket, sys, uvicorn
config = uvicorn.Config(sys.argv[1], log_level="warning")
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
"""


def starlette(app: Any) -> Any:
    """Starlette's client, on httpx."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has a recommendation for another httpx
        from starlette.testclient import TestClient

    return TestClient(app)


def starlette_on_requests(app: Any) -> Any:
    """Starlette's client as it was once, on requests (starlette-testclient)."""
    from starlette_testclient import TestClient

    return TestClient(app)


def litestar(app: Any) -> Any:
    """Litestar's client, on httpx."""
    from litestar.testing import TestClient

    return TestClient(app)


def async_gets(app: Any, count: int) -> AbstractContextManager[Case]:
    """A case for async-asgi-testclient, which is used from within a loop: so many times GET ``/``."""

    async def many(client: Any) -> float:
        began = perf_counter()
        for _ in range(count):
            await client.get("/")
        return (perf_counter() - began) / count

    return _within_a_loop(app, many)


def async_echoes(app: Any, count: int) -> AbstractContextManager[Case]:
    """The same for so many messages of a WebSocket that is echoed."""

    async def many(client: Any) -> float:
        async with client.websocket_connect("/") as websocket:
            began = perf_counter()
            for _ in range(count):
                await websocket.send_text("Hello, world!")
                await websocket.receive_text()
            return (perf_counter() - began) / count

    return _within_a_loop(app, many)


@contextmanager
def _within_a_loop(app: Any, many: Callable[[Any], Coroutine[Any, Any, float]]) -> Iterator[Case]:
    from async_asgi_testclient import TestClient

    client = TestClient(app)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.__aenter__())
    try:
        yield lambda: loop.run_until_complete(many(client))
    finally:
        loop.run_until_complete(client.__aexit__(None, None, None))
        loop.close()


class Server:
    """uvicorn in a process of its own, on a port of the loopback interface.

    Args:
        app: an import string.

    Attributes:
        url: where it listens; what is sent there before it is ready is answered when it is.
    """

    def __init__(self, app: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            number = listener.fileno()
            command = [sys.executable, "-c", _SERVER, app, str(number)]
            self._process = subprocess.Popen(command, pass_fds=[number], cwd=ROOT)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.wait(10)


def websocket(server: Server) -> Any:
    """A connection to the server's ``/`` by the client that websockets has for threads, with its defaults."""
    from websockets.sync.client import connect

    return connect(server.url.replace("http", "ws", 1), proxy=None)


def session(url: str | None = None) -> requests.Session:
    """A session without ``trust_env``, as ours is; without a URL, its adapter does nothing."""
    made = requests.Session()
    made.trust_env = False
    if url is None:
        made.mount("http://", NullAdapter())
    return made


class NullAdapter(BaseAdapter):
    """What requests takes without a server: the answer is made here."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.headers["content-type"] = "text/plain; charset=utf-8"
        response.request = request
        response.url = request.url or ""
        response._content = b"Hello, world!"
        return response

    def close(self) -> None:
        """There is nothing to close."""


@contextmanager
def bare_fork() -> Iterator[int]:
    """A fork that makes an event loop and calls the FastAPI app once, the floor of a fresh app; its pid.

    It has answered when this begins, and has ended when this ends.
    """
    answers, answer = os.pipe()
    waits, hold = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            gc.freeze()
            os.close(hold)
            with asyncio.Runner() as runner:
                runner.run(_ask(apps.shop))
            os.write(answer, b"x")
            os.read(waits, 1)
        finally:
            os._exit(0)
    for descriptor in (answer, waits):
        os.close(descriptor)
    try:
        assert select.select([answers], [], [], 30)[0], "the bare fork does not answer"
        assert os.read(answers, 1), "the bare fork has died"
        yield pid
    finally:
        os.close(answers)
        os.close(hold)
        os.waitpid(pid, 0)


def fork_that_answers_twice() -> None:
    """A fork with an event loop that echoes; from its start over two answers to its end."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            gc.freeze()
            ours.close()
            _echo_until_closed(theirs)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        for _ in range(2):
            ours.sendall(bytes(300))
            assert select.select([ours], [], [], 30)[0], "the bare fork does not answer"
            assert ours.recv(65536), "the bare fork has died"
    os.waitpid(pid, 0)


def _echo_until_closed(sock: socket.socket) -> None:
    sock.setblocking(False)
    loop = asyncio.new_event_loop()

    def echo() -> None:
        received = sock.recv(65536)
        if received:
            sock.send(received)
        else:
            loop.stop()

    loop.add_reader(sock, echo)
    loop.run_forever()


async def _ask(app: Any) -> None:
    async def receive() -> apps.Message:
        return {"type": "http.request"}

    async def send(message: apps.Message) -> None:
        assert message.get("status", 200) == 200

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/route/7"}
    await app({**scope, "raw_path": b"/route/7", "query_string": b"", "root_path": "", "headers": []}, receive, send)


_PING: Final = """
import socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
while data := sock.recv(65536):
    sock.sendall(data)
"""
_LOOP: Final = f"""
from __future__ import annotations
import asyncio, socket, sys

{getsource(_echo_until_closed)}
_echo_until_closed(socket.socket(fileno=int(sys.argv[1])))
"""
_PUMP: Final = """
import socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
piece = bytes(1 << 20)
while count := sock.recv(1):
    for _ in range(count[0]):
        sock.sendall(piece)
"""


@contextmanager
def _partner(code: str) -> Iterator[socket.socket]:
    """Another process at the other end of a socket pair."""
    ours, theirs = socket.socketpair()
    with ours:
        process = subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()])
        theirs.close()
        yield ours
        ours.close()
        process.wait(10)


@contextmanager
def ping_pong(size: int = 300, *, code: str = _PING) -> Iterator[Callable[[], object]]:
    """There and back between two processes: the floor of every request that leaves this one."""
    message = bytes(size)
    with _partner(code) as sock:

        def ping() -> None:
            sock.sendall(message)
            sock.recv(65536)

        yield ping


def echo_of_a_loop() -> AbstractContextManager[Callable[[], object]]:
    """The same with an event loop on the other side: the floor of whatever an asyncio app can answer."""
    return ping_pong(60, code=_LOOP)


@contextmanager
def pump() -> Iterator[Callable[[int], None]]:
    """As many megabytes as asked for, through a socket pair and into a buffer: the floor of a download."""
    with _partner(_PUMP) as sock:
        buffer = bytearray(1 << 20)

        def take(megabytes: int) -> None:
            sock.sendall(bytes([megabytes]))
            left = megabytes << 20
            while left:
                left -= sock.recv_into(buffer)

        yield take
