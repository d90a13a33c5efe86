"""Whatever kind of object the app is, it is served, in every mode in which it can be brought there."""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import ObjectNotSendable

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


pytestmark = pytest.mark.modes("fork", "forkserver", "spawn", "thread")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


# -- apps that can't be sent


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_apps_that_cannot_be_sent(make_client: MakeClient) -> None:
    class App:
        def __init__(self, **parts: object) -> None:
            self.config = parts

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)

    with pytest.raises(ObjectNotSendable, match=r"app.*config.*'guard'.*lock"):
        make_client(App(guard=threading.Lock())).get("/")
    with socket.socket() as open_socket, pytest.raises(ObjectNotSendable, match=r"app.*config.*'peer'.*socket"):
        make_client(App(peer=open_socket)).get("/")

    lock = threading.Lock()

    async def closure(scope: Scope, receive: Receive, send: Send) -> None:
        with lock:
            await hello(scope, receive, send)

    with pytest.raises(ObjectNotSendable, match=r"app.*closure variable 'lock'"):
        make_client(closure).get("/")
    with pytest.raises(ObjectNotSendable, match=r"loop_factory"):
        make_client(hello, backend_options={"loop_factory": functools.partial(lock.acquire)}).get("/")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_snapshot_needs_nothing_to_be_sent(make_client: MakeClient) -> None:
    lock = threading.Lock()
    with socket.socket() as open_socket:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with lock:
                assert open_socket.fileno() >= 0
                await hello(scope, receive, send)

        assert make_client(app).get("/").text == "Hello, world!"


# -- apps of every kind


class Importable:
    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": self.name.encode()})

    async def method(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self(scope, receive, send)

    @staticmethod
    async def static(scope: Scope, receive: Receive, send: Send) -> None:
        await Importable("static")(scope, receive, send)

    @classmethod
    async def of_class(cls, scope: Scope, receive: Receive, send: Send) -> None:
        await cls("of class")(scope, receive, send)


async def configured(name: str, scope: Scope, receive: Receive, send: Send) -> None:
    await Importable(name)(scope, receive, send)


class SeedApp:
    """As the seed has it: ASGI 2, where the class is the app."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ASGI 2 " + self.scope["path"].encode()})


def double(scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
    async def instance(receive: Receive, send: Send) -> None:
        await Importable("double")(scope, receive, send)

    return instance


class Doubled:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
        return functools.partial(Importable(self.name), scope)


async def starred(*args: Any) -> None:
    await Importable("starred")(*args)


@pytest.mark.modes("fork", "forkserver", "thread")  # on the way to a fresh interpreter, it does not matter whose
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("app", "text"),
    [
        (hello, "Hello, world!"),
        (Importable("an instance"), "an instance"),
        (Importable("bound").method, "bound"),
        (Importable.static, "static"),
        (Importable.of_class, "of class"),
        (functools.partial(configured, "partial"), "partial"),
        (lambda scope, receive, send: hello(scope, receive, send), "Hello, world!"),
        (SeedApp, "ASGI 2 /"),
        (double, "double"),
        (Doubled("doubled"), "doubled"),
        (functools.partial(lambda name, scope: Doubled(name)(scope), "partial double"), "partial double"),
        (starred, "starred"),
    ],
)
def test_apps_of_every_kind(make_client: MakeClient, app: Any, text: str) -> None:
    assert make_client(app).get("/").text == text


@pytest.mark.backends("asyncio")
def test_locals_and_closures(make_client: MakeClient) -> None:
    greeting = "from the closure"

    class Base:
        suffix = "!"

    class Local(Base):
        def __init__(self, scope: Scope) -> None:
            self.path = scope["path"]

        async def __call__(self, receive: Receive, send: Send) -> None:
            await Importable(f"{greeting} {self.path}{super().suffix}")({}, receive, send)

    async def local(scope: Scope, receive: Receive, send: Send) -> None:
        async def inner() -> None:
            await Importable(greeting)(scope, receive, send)

        await inner()

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def loud(message: dict[str, Any]) -> None:
                await send({**message, "body": message["body"].upper()} if "body" in message else message)

            await self.app(scope, receive, loud)

    assert make_client(Local).get("/x").text == "from the closure /x!"
    assert make_client(local).get("/").text == "from the closure"
    assert make_client(Middleware(local)).get("/").text == "FROM THE CLOSURE"


def test_the_double_callable_of_the_seed_serves_everything(make_client: MakeClient) -> None:
    class App:
        def __init__(self, scope: Scope) -> None:
            self.scope = scope

        async def __call__(self, receive: Receive, send: Send) -> None:
            if self.scope["type"] == "lifespan":
                await receive()
                self.scope["state"]["greeting"] = "Hello, world!"
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            elif self.scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.send", "text": self.scope["state"]["greeting"]})
                await send({"type": "websocket.close"})
            else:
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": self.scope["state"]["greeting"].encode()})

    with make_client(App) as client:
        response = client.get("/")
        assert response.status_code == 200
        assert response.text == "Hello, world!"
        with client.websocket_connect("/") as websocket:
            data = websocket.receive_text()
            assert data == "Hello, world!"


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_an_app_of_the_main_module(cell: Cell, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from isoclient import TestClient\n"
        "GREETING = 'of main'\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': GREETING.encode()})\n"
        "if __name__ == '__main__':\n"
        f"    with TestClient(app, timeout=30, **{cell.options!r}) as client:\n"
        "        print(client.get('/').text)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("of main\n", "")
