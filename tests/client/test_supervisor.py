"""What is behind a client: the copies of its app, and how long they live."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests

from isoclient import AppCrashed, TestClient
from isoclient.client.defaults import LIFETIMES as NAMES
from isoclient.client.lifetimes import LIFETIMES
from isoclient.client.registry import registry
from isoclient.process.launchers import IN_A_THREAD, START_METHODS, launcher_for
from isoclient.server.setup import Setup

if TYPE_CHECKING:
    from tests.conftest import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


@pytest.fixture
def client() -> Iterator[TestClient]:
    with closing(TestClient(app, isolated="test", timeout=30)) as client:
        yield client


@pytest.fixture
def next_test(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What the plugin does when a test is over and the next one begins."""

    def go_on() -> None:
        registry.end_test()
        monkeypatch.setattr(registry, "test", registry.test + 1)

    return go_on


def is_there(pid: str) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_an_app_that_lives_for_a_test(client: TestClient, next_test: Callable[[], None]) -> None:
    assert repr(client).endswith("isolated (fork, afresh for each test), not running>")
    first = client.get("/").text
    assert client.get("/").text == first
    next_test()
    assert not is_there(first)
    second = client.get("/").text
    assert second not in (first, str(os.getpid()))
    with client:
        assert client.get("/").text == second
        next_test()
        assert client.get("/").text == second
    assert not is_there(second)
    third = client.get("/").text
    next_test()
    assert not is_there(third)


def test_one_that_was_started_before_any_test(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/").text
    registry.of_test.clear()  # no test has ended
    monkeypatch.setattr(registry, "test", registry.test + 1)
    assert client.get("/").text != first
    assert not is_there(first)


def test_without_a_test_that_ends_it_lives_as_long_as_its_client(client: TestClient) -> None:
    assert len({client.get("/").text for _ in range(3)}) == 1


def test_what_patches_are_in_force_goes_on_in_the_next_test(client: TestClient, next_test: Callable[[], None]) -> None:
    with client.patched("os.getcwd", lambda: "/elsewhere") as getcwd:
        assert client.call(lambda: os.getcwd()) == "/elsewhere"
        next_test()
        assert client.call(lambda: os.getcwd()) == "/elsewhere"
    assert getcwd.call_count == 2


def test_all_that_is_of_a_test_is_ended_though_an_end_fails(next_test: Callable[[], None]) -> None:
    async def begin() -> None:
        tasks.append(asyncio.create_task(crash_at_the_end()))

    async def crash_at_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            os._exit(3)

    tasks: list[object] = []  # so that there it is not collected
    clients = [TestClient(app, isolated="test", timeout=30) for _ in range(3)]
    pids = [client.get("/").text for client in clients]
    clients[1].call(begin)
    with pytest.raises(AppCrashed, match=r"the app called os\._exit\(3\) at .* in crash_at_the_end, while ending"):
        next_test()
    assert not any(map(is_there, pids))


def test_a_lifetime_is_a_class_a_line_and_a_name() -> None:
    assert list(LIFETIMES) == [False, True, *NAMES]


def test_threads_that_use_it_at_once_meet_one_fresh_copy(client: TestClient, next_test: Callable[[], None]) -> None:
    first = client.get("/").text
    next_test()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(client.get("/").text)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert len({first, *found}) == 2


def test_who_starts_it_while_it_is_closed_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins a copy says that first, and looks then whether somebody closes; and who closes the other way."""
    client = TestClient(app, isolated=True, timeout=30)
    supervisor = client._supervisor
    make = type(supervisor.plan.launcher).make

    def make_and_close(launcher: Any, setup: Setup) -> Any:
        supervisor._closers.add((os.getpid(), "another thread"))
        return make(launcher, setup)

    with monkeypatch.context() as context:
        context.setattr(type(supervisor.plan.launcher), "make", make_and_close)
        with pytest.raises(requests.ConnectionError, match="the client was closed before the app was started"):
            client.get("/")
    assert supervisor.copies == []
    supervisor._closers.clear()
    assert client.get("/").status_code == 200
    client.close()


def test_what_launchers_say_of_themselves() -> None:
    setup = Setup(app, False, "asyncio", {})
    assert launcher_for(setup, isolated=False, method=None) is IN_A_THREAD
    assert launcher_for(setup, isolated=True, method=None) is START_METHODS["fork"]
    assert launcher_for(setup._replace(app="shop:app"), isolated=True, method=None) is START_METHODS["forkserver"]
    assert IN_A_THREAD.shares_memory
    assert {name: (each.shares_memory, each.is_snapshot) for name, each in START_METHODS.items()} == {
        "fork": (False, True),
        "forkserver": (False, False),
        "spawn": (False, False),
    }


def test_clients_without_end_leave_nothing_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "test", 0)  # as in a script

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    for _ in range(100):
        with closing(TestClient(nothing)) as client:
            client.get("/")
    assert len(registry.of_this_test()) < 100
