"""The context variables of the test, as the app has them."""

from __future__ import annotations

import contextvars
import decimal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import TestClient
from isoclient.mirror.context_variables import context_of_test

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
seen: list[str] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    found = tenant.get("nobody")
    tenant.set("the app")
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["tenant"] = found
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": found})
        await receive()
    else:
        started = scope["state"].get("tenant", "not started")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": f"{started}, {found}".encode()})


def told_by(client: TestClient) -> tuple[str, str, str]:
    with client.websocket_connect("/") as websocket:
        return client.get("/").text, websocket.receive_text(), client.call(lambda: tenant.get("nobody"))


@pytest.fixture(autouse=True)
def fresh_context() -> Any:
    token = tenant.set("shop")
    yield
    tenant.reset(token)


def test_those_of_the_moment_or_of_the_fork(make_client: MakeClient, cell: Cell) -> None:
    client = make_client(app)
    first = "nobody" if cell.is_fresh else "shop"
    assert told_by(client) == (f"not started, {first}", first, first)
    tenant.set("library")
    now = "library" if cell.mode == "thread" else first
    assert told_by(client) == (f"not started, {now}", now, now)
    assert tenant.get() == "library"  # what the app sets is its own


@pytest.mark.modes("fork", "thread")
def test_the_lifespan_has_those_of_its_start(make_client: MakeClient) -> None:
    with make_client(app) as client:
        tenant.set("library")
        assert client.get("/").text.partition(",")[0] == "shop"


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_each_fork_has_those_of_its_own_start(make_client: MakeClient) -> None:
    client = make_client(app, isolated="request")
    assert client.get("/").text == "not started, shop"
    tenant.set("library")
    assert client.get("/").text == "not started, library"


@pytest.mark.modes("thread")
def test_each_thread_of_the_test_has_its_own(make_client: MakeClient) -> None:
    client = make_client(app)
    client.get("/")

    def ask() -> None:
        tenant.set("another thread")
        seen.append(client.get("/").text)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen.pop() == "not started, another thread"
    assert client.get("/").text == "not started, shop"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_those_that_other_modules_keep(make_client: MakeClient) -> None:
    with decimal.localcontext() as context:
        context.prec = 3
        assert make_client(app).call(lambda: str(decimal.Decimal(1) / 3)) == "0.333"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio", "trio")
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_test_in_another_event_loop(make_client: MakeClient, cell: Cell, library: str) -> None:
    import anyio
    import sniffio

    client = make_client(app)

    async def test() -> tuple[str, str]:
        tenant.set("async")
        sniffio.current_async_library_cvar.set(library)
        return client.get("/").text, client.call(sniffio.current_async_library)

    assert anyio.run(test, backend=library) == ("not started, async", cell.backend)


@pytest.mark.parametrize("forked", [True, False])
def test_a_fork_does_not_take_over_whose_threads_are_in_use(forked: bool) -> None:
    from asgiref.sync import SyncToAsync

    def look() -> dict[Any, Any]:
        SyncToAsync.deadlock_context.set(True)
        return dict(context_of_test(forked=forked))

    found = contextvars.copy_context().run(look)
    assert found[tenant] == "shop"
    assert (SyncToAsync.deadlock_context in found) is not forked
