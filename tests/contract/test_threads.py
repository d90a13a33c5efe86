"""A client is used by several threads at once; their requests run concurrently in the app's one loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import pytest
import requests

from isoclient import AppCrashed, WebSocketDisconnect
from tests.reliability.handles import handle_of
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.modes("fork", "thread")


class Threads:
    """Runs functions at the same time, and raises what any of them raised."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self, function: Callable[..., object], *args: object) -> None:
        def run() -> None:
            try:
                function(*args)
            except BaseException as error:
                self._errors.append(error)

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        for error in self._errors:
            raise error


class Rendezvous:
    """An app whose requests all wait until so many of them are there."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.there = 0
        self.event: anyio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.event = self.event or anyio.Event()
        self.there += 1
        if self.there == self.count:
            self.event.set()
        await self.event.wait()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_requests_run_concurrently(make_client: MakeClient) -> None:
    client = make_client(Rendezvous(8))
    answers: list[str] = []
    threads = Threads()
    for number in range(8):
        threads.start(lambda path: answers.append(client.get(path).text), f"/{number}")
    threads.join()
    assert sorted(answers) == [f"/{number}" for number in range(8)]


def test_the_first_uses_at_once_start_one_app(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    client = make_client(app)
    pids: list[int] = []
    barrier = threading.Barrier(8)

    def use() -> None:
        barrier.wait(30)
        pids.append(client.pid)

    threads = Threads()
    for _ in range(8):
        threads.start(use)
    threads.join()
    assert len(pids) == 8
    assert len(set(pids)) == 1


@pytest.mark.backends("asyncio")
def test_clients_started_at_once(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    clients = [make_client(app) for _ in range(8)]
    barrier = threading.Barrier(8)

    def use(number: int) -> None:
        barrier.wait(30)
        for turn in range(10):
            assert clients[number].get(f"/{number}/{turn}").text == f"/{number}/{turn}"
        clients[number].close()

    threads = Threads()
    for number in range(8):
        threads.start(use, number)
    threads.join()


def test_each_gets_its_own_answers(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("7"):
            raise LookupError(scope["path"])
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body})

    client = make_client(app)

    def ask(number: int) -> None:
        for turn in range(40):
            path = f"/{number}/{turn}"
            if path.endswith("7"):
                with pytest.raises(LookupError, match=path):
                    client.get(path)
            else:
                data = f"{number} {turn} ".encode() * 300 * (turn % 5)
                assert client.post(path, data=data).content == data

    threads = Threads()
    for number in range(6):
        threads.start(ask, number)
    threads.join()


def test_one_that_waits_long_holds_up_nobody(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.waiting = False
            self.go_on = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/long":
                self.waiting = True
                while not self.go_on:
                    await anyio.sleep(0.001)
            self.go_on = self.go_on or scope["path"] == "/go"
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": scope["path"].encode()})

    app = App()
    client = make_client(app)
    answers: list[str] = []
    threads = Threads()
    for _ in range(3):
        threads.start(lambda: answers.append(client.get("/long").text))
    eventually(lambda: client.call(lambda: app.waiting))
    for _ in range(30):
        assert client.get("/short").text == "/short"
    assert answers == []
    client.get("/go")
    threads.join()
    assert answers == ["/long"] * 3


def test_a_websocket_is_open_while_requests_go_on(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({**message, "type": "websocket.send"})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    client = make_client(app)
    threads = Threads()

    def ask() -> None:
        for number in range(50):
            assert client.get(f"/{number}").text == f"/{number}"

    def talk() -> None:
        with client.websocket_connect("/") as websocket:
            for number in range(50):
                websocket.send_text(str(number))
                assert websocket.receive_text() == str(number)

    for function in (ask, talk, ask, talk):
        threads.start(function)
    threads.join()


def test_one_websocket_written_and_read_by_two_threads(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    piece = b"x" * 50_000
    with make_client(app).websocket_connect("/") as websocket:

        def write() -> None:
            for number in range(100):
                websocket.send_bytes(b"%04d" % number + piece)

        threads = Threads()
        threads.start(write)
        for number in range(100):
            assert websocket.receive_bytes()[:4] == b"%04d" % number
        threads.join()


def test_large_bodies_both_ways_from_several_threads(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    client = make_client(app)

    def ask(number: int) -> None:
        data = bytes([number]) * 3_000_000
        assert client.post("/", data=data).content == data

    threads = Threads()
    for number in range(4):
        threads.start(ask, number)
    threads.join()


@pytest.mark.usefixtures("short_grace")
def test_closing_while_others_wait(make_client: MakeClient) -> None:
    class App:
        waiting = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
            self.waiting += 1
            await anyio.Event().wait()

    app = App()
    client = make_client(app)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            client.get("/")
        except requests.RequestException as error:
            told.append(error)

    def listen() -> None:
        try:
            with client.websocket_connect("/") as websocket:
                websocket.receive_text()
        except (requests.RequestException, WebSocketDisconnect) as error:
            told.append(error)

    threads = Threads()
    for function in (wait, wait, listen):
        threads.start(function)
    eventually(lambda: client.call(lambda: app.waiting) >= 3)
    client.close()
    threads.join()
    assert len(told) == 3
    assert not any(isinstance(error, AppCrashed) for error in told)  # for it did not


def test_a_timeout_of_one_is_none_of_the_others(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.there = 0
            self.go_on = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.there += 1
            while not self.go_on:
                await anyio.sleep(0.001)
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    app = App()
    client = make_client(app)
    statuses: list[int] = []
    threads = Threads()
    threads.start(lambda: statuses.append(client.get("/").status_code))
    eventually(lambda: client.call(lambda: app.there) >= 1)
    with pytest.raises(requests.ReadTimeout):
        client.get("/", timeout=0.05)
    client.call(setattr, app, "go_on", True)
    threads.join()
    assert statuses == [204]


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_a_fork_does_not_wait_for_a_thread_that_is_closing_another_app(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ready"})

    closing, other = make_client(app), make_client(app, timeout=10.0)
    assert closing.get("/").text == "ready"
    handle = handle_of(closing)
    assert handle is not None
    connection, unwatch = handle.connection, handle.connection.unwatch
    held, done = threading.Event(), threading.Event()
    threads = Threads()

    def unwatch_late(close: Callable[[], object]) -> None:
        if not held.is_set():  # but in this thread alone: a fork closes its own of it
            held.set()
            done.wait(30)
        unwatch(close)

    monkeypatch.setattr(connection, "unwatch", unwatch_late)
    threads.start(closing.close)
    assert held.wait(30)
    try:
        assert other.get("/").text == "ready"
    finally:
        done.set()
        threads.join()
