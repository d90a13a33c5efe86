"""What is behind a client: the copies of its app, and how long they live."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests

from isoclient import TestClient
from isoclient.client.lifetimes import LIFETIMES, Lifetime
from isoclient.client.registry import Usage, registry
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


class ForEachTest(Lifetime):
    """A further one: until the next test, unless the client is in use by more than one."""

    def is_over(self, usage: Usage, *, entered: bool) -> bool:
        return not entered and not usage.of_this_test()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setitem(LIFETIMES, "test", ForEachTest())
    with closing(TestClient(app, isolated="test", timeout=30)) as client:  # type: ignore[arg-type]
        yield client


def next_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "test", registry.test + 1)


def test_a_further_lifetime_is_a_class_and_a_line(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/").text
    assert client.get("/").text == first
    next_test(monkeypatch)
    second = client.get("/").text
    assert second != first
    assert not os.path.exists(f"/proc/{first}")
    with client:
        assert client.get("/").text == second
        next_test(monkeypatch)
        assert client.get("/").text == second
    assert repr(client).endswith("isolated (fork), not running>")


def test_threads_that_use_it_at_once_meet_one_fresh_copy(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/").text
    next_test(monkeypatch)
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
