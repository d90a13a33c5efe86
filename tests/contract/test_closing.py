"""The client is closed by one thread while others use it: they are told so, at once, and nothing else."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
import requests

from isoclient import TestClient
from isoclient.system import modules as system
from tests.contract.test_threads import Threads
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "forkserver", "thread"), pytest.mark.backends("asyncio")]

THREADS: Final = 8
LONG: Final = 600.0  # seconds; who is told after so long has hung

Use = Callable[[TestClient], None]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"answer"})


def get(client: TestClient) -> None:
    assert client.get("/").content == b"answer"


def post(client: TestClient) -> None:
    assert client.post("/", data=b"x" * 200_000).content == b"answer"


def call(client: TestClient) -> None:
    assert client.call(len, "four") == 4


def talk(client: TestClient) -> None:
    with client.websocket_connect("/") as websocket:
        for number in range(3):
            websocket.send_text(str(number))
            assert websocket.receive_text() == str(number)


@pytest.fixture
def bad_polls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was polled that was no descriptor any more, or another one than had been registered."""
    found: list[str] = []
    poll = system.select.poll

    class Watched:
        def __init__(self) -> None:
            self._poll = poll()
            self._files: dict[int, tuple[int, int]] = {}

        def register(self, file: Any, events: int) -> None:
            number = file if isinstance(file, int) else file.fileno()
            self._files[number] = identity(number)
            self._poll.register(number, events)

        def poll(self, milliseconds: int | None) -> list[tuple[int, int]]:
            self._look()
            ready: list[tuple[int, int]] = self._poll.poll(milliseconds)
            self._look()
            return ready

        def _look(self) -> None:
            found.extend(f"{number} is another" for number, file in self._files.items() if identity(number) != file)

    monkeypatch.setattr(system.select, "poll", Watched)
    return found


def identity(number: int) -> tuple[int, int]:
    try:
        status = os.fstat(number)
    except OSError:
        return -1, -1
    return status.st_dev, status.st_ino


def attack(client: TestClient, use: Use, after: int) -> list[BaseException]:
    """Close it after so many uses by each of the threads; return what they were told."""
    told: list[BaseException] = []
    is_closed = threading.Event()
    under_way = threading.Barrier(THREADS + 1)

    def go_on() -> None:
        for _ in range(after):
            use(client)
        under_way.wait(60)
        try:
            while not is_closed.is_set():
                use(client)
        except BaseException as error:
            told.append(error)

    threads = Threads()
    for _ in range(THREADS):
        threads.start(go_on)
    under_way.wait(60)
    client.close()
    is_closed.set()
    threads.join()
    client.close()
    return told


def assert_closed(errors: list[BaseException]) -> None:
    for error in errors:
        assert type(error) is requests.ConnectionError, repr(error)
        assert str(error).startswith("the client was closed"), repr(error)
        assert not hasattr(error, "__notes__")


@pytest.mark.rest("forkserver")
@pytest.mark.parametrize("use", [get, post, call, talk])
def test_those_who_go_on(make_client: MakeClient, use: Use, bad_polls: list[str]) -> None:
    client = make_client(app, timeout=LONG)
    for after in (1, 2, 3):
        assert_closed(attack(client, use, after))
    assert bad_polls == []


@pytest.mark.modes("fork")
@pytest.mark.parametrize("use", [get, call, talk])
def test_those_who_go_on_with_a_copy_each(make_client: MakeClient, use: Use, bad_polls: list[str]) -> None:
    client = make_client(app, isolated="request", start_method=None, timeout=LONG)
    assert_closed(attack(client, use, 1))
    assert bad_polls == []


@pytest.mark.rest("forkserver")
def test_those_who_wait_are_told_before_the_app_has_ended(make_client: MakeClient, tmp_path: Path) -> None:
    all_told = tmp_path / "told"

    class App:
        waiting = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await self.live(receive, send)
                return
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
            self.waiting += 1
            await anyio.Event().wait()

        async def live(self, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            while not all_told.exists():  # it is made by another process
                await anyio.sleep(0.001)
            await send({"type": "lifespan.shutdown.complete"})

    def listen(client: TestClient) -> None:
        with client.websocket_connect("/") as websocket:
            websocket.receive_text()

    served = App()
    client = make_client(served, timeout=LONG)
    told: list[BaseException] = []

    def wait(use: Use) -> None:
        try:
            use(client)
        except BaseException as error:
            told.append(error)
        if len(told) == 4:
            all_told.touch()

    with client:
        threads = Threads()
        for use in (get, get, post, listen):
            threads.start(wait, use)
        eventually(lambda: client.call(lambda: served.waiting) >= 4)
    threads.join()
    assert len(told) == 4
    assert_closed(told)


@pytest.mark.rest("forkserver")
def test_one_that_is_being_started(make_client: MakeClient, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    async def starting(scope: Scope, receive: Receive, send: Send) -> None:
        begun.touch()
        await anyio.Event().wait()

    client = make_client(starting, timeout=LONG)
    told: list[BaseException] = []

    def start() -> None:
        try:
            client.__enter__()
        except BaseException as error:
            told.append(error)

    threads = Threads()
    threads.start(start)
    eventually(begun.exists)
    client.close()
    threads.join()
    assert len(told) == 1
    assert_closed(told)


@pytest.mark.rest("forkserver")
def test_the_next_use_starts_it_again(make_client: MakeClient) -> None:
    client = make_client(app)
    get(client)
    client.close()
    get(client)


@pytest.mark.modes("fork", "thread")
def test_what_the_app_refers_to_is_free_without_the_garbage_collector(cell: Cell) -> None:
    class Resource:
        """Such as a connection that is closed when nobody refers to it any more."""

    resource = Resource()
    is_there = weakref.ref(resource)

    async def app(scope: Scope, receive: Receive, send: Send, resource: Resource = resource) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    gc.collect()
    gc.disable()
    try:
        client = TestClient(app, timeout=30.0, **cell.options)
        client.get("/")
        client.close()
        del client, app, resource
        assert is_there() is None
    finally:
        gc.enable()
