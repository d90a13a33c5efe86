"""``with TestClient(app) as client``: startup and shutdown, in the app's one loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from isoclient import AppProtocolError, AppStartupError

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


async def respond(send: Send, text: object) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(text).encode()})


def test_startup_requests_shutdown(make_client: MakeClient) -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for part in ("startup", "shutdown"):
                assert (await receive()) == {"type": f"lifespan.{part}"}
                events.append(part)
                # The shutdown is seen by no request; so it is seen by what the test's process gets of it.
                print(f"{part} after {events}")
                await send({"type": f"lifespan.{part}.complete"})
            return
        events.append(scope["path"])
        await respond(send, events)

    with make_client(app) as client:
        assert client.get("/a").text == "['startup', '/a']"
        assert client.get("/b").text == "['startup', '/a', '/b']"


def test_the_shutdown_runs(make_client: MakeClient, capfd: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("received", (await receive())["type"])
        await anyio.lowlevel.checkpoint()
        print("cleaned up")
        await send({"type": "lifespan.shutdown.complete"})

    with make_client(app):
        assert "received" not in capfd.readouterr().out
    assert capfd.readouterr().out == "received lifespan.shutdown\ncleaned up\n"


@pytest.mark.modes("fork", "thread")
def test_the_scope(make_client: MakeClient) -> None:
    class App:
        scope: Any = None

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.scope = dict(scope)
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    app = App()
    with make_client(app) as client:
        scope = client.call(lambda: app.scope)
    assert scope == {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}


def test_each_request_gets_a_shallow_copy_of_the_state(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        if scope["type"] == "lifespan":
            await receive()
            state["shared"] = []
            state["count"] = 0
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": repr(state)})
        else:
            state["shared"].append(scope["path"])
            state["count"] += 1
            await respond(send, state)

    with make_client(app) as client:
        assert client.get("/a").text == "{'shared': ['/a'], 'count': 1}"
        assert client.get("/b").text == "{'shared': ['/a', '/b'], 'count': 1}"
        with client.websocket_connect("/") as websocket:
            assert websocket.receive_text() == "{'shared': ['/a', '/b'], 'count': 0}"


@pytest.mark.backends("asyncio", "uvloop")
def test_it_is_one_loop(make_client: MakeClient) -> None:
    class App:
        loops: tuple[asyncio.AbstractEventLoop, ...] = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.loops += (asyncio.get_running_loop(),)
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            else:
                await respond(send, [loop is self.loops[0] for loop in self.loops])

    app = App()
    with make_client(app) as client:
        assert client.get("/").text == "[True, True]"
        assert client.get("/").text == "[True, True, True]"
        assert client.call(lambda: asyncio.get_running_loop() is app.loops[0])


@pytest.mark.modes("fork", "thread")
def test_what_the_startup_has_begun_goes_on_under_the_requests(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        if scope["type"] == "lifespan":
            await receive()
            asked, answered = anyio.create_memory_object_stream[int](), anyio.create_memory_object_stream[int]()
            state.update(ask=asked[0], answer=answered[1])

            async def work() -> None:
                async for number in asked[1]:
                    await answered[0].send(number * 2)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work)
                await send({"type": "lifespan.startup.complete"})
                await receive()
                tasks.cancel_scope.cancel()
            for stream in (*asked, *answered):
                stream.close()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await state["ask"].send(len(scope["path"]))
            await respond(send, await state["answer"].receive())

    with make_client(app) as client:
        assert client.get("/four").text == "10"
        assert client.get("/fifteen").text == "16"


@pytest.mark.modes("fork", "thread")
def test_without_with_there_is_no_lifespan(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await respond(send, scope["state"])

    assert make_client(app).get("/").text == "{}"


@pytest.mark.modes("fork", "thread")
def test_an_app_without_lifespan_that_raises(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await respond(send, "served")

    with make_client(app) as client:
        assert client.get("/").text == "served"


@pytest.mark.modes("fork", "thread")
def test_an_app_without_lifespan_that_answers_as_to_a_request(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, "served")

    with make_client(app) as client:
        assert client.get("/").text == "served"


@pytest.mark.modes("fork", "thread")
def test_an_app_without_lifespan_that_returns(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, "served")

    with make_client(app) as client:
        assert client.get("/").text == "served"


def test_the_startup_fails_with_a_message(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(AppStartupError, match="no database"), make_client(app):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "thread")
def test_the_startup_fails_and_the_app_asks_for_more(make_client: MakeClient) -> None:
    # The loop of the specification's own example. The server never sends anything more after a failed startup.
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.failed", "message": "no database"})
            elif message["type"] == "lifespan.shutdown":
                await send({"type": "lifespan.shutdown.complete"})

    with pytest.raises(AppStartupError, match="no database"), make_client(app, timeout=3):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "thread")
def test_an_app_that_asks_for_more_after_its_shutdown(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, "served")
            return
        while True:
            part = (await receive())["type"].partition(".")[2]
            await send({"type": f"lifespan.{part}.complete"})

    with make_client(app, timeout=3) as client:
        assert client.get("/").text == "served"


def test_the_startup_raises(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ConnectionRefusedError(111, "no database")

    with pytest.raises(ConnectionRefusedError, match="no database") as caught, make_client(app):
        pytest.fail("the block must not run")
    assert caught.value.errno == 111


@pytest.mark.modes("fork", "thread")
def test_the_startup_fails_with_a_message_and_raises(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "a traceback as text"})
        raise LookupError("the error itself")

    with pytest.raises(LookupError, match="the error itself"), make_client(app):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "thread")
def test_a_startup_that_fails_fails_whatever_raise_server_exceptions_says(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise LookupError("no configuration")

    with pytest.raises(LookupError, match="no configuration"), make_client(app, raise_server_exceptions=False):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "thread")
def test_a_second_attempt_after_a_failed_startup(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, "served")
            return
        await receive()
        if attempts == 1:
            raise LookupError("the first attempt")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    attempts = 1
    client = make_client(app)
    with pytest.raises(LookupError), client:
        pytest.fail("the block must not run")
    attempts = 2
    with client:
        assert client.get("/").text == "served"


def test_the_shutdown_fails_with_a_message(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "could not flush"})

    with pytest.raises(Exception, match="could not flush"), make_client(app):
        pass


def test_the_shutdown_raises(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise LookupError("could not flush")

    with pytest.raises(LookupError, match="could not flush"), make_client(app):
        pass


@pytest.mark.modes("fork", "thread")
def test_an_app_whose_lifespan_fails_between(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, "served")
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise LookupError("a background job")

    client = make_client(app)
    with pytest.raises(LookupError, match="a background job"), client:
        assert client.get("/").text == "served"


@pytest.mark.modes("fork", "thread")
def test_what_fails_in_the_block_is_not_hidden_by_the_shutdown(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with pytest.raises(AssertionError, match="the test's"), make_client(app):
        raise AssertionError("the test's")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("sent", "match"),
    [
        ({"type": "lifespan.startup.completed"}, r"lifespan\.startup\.completed"),
        ({"type": "lifespan.shutdown.complete"}, r"lifespan\.shutdown\.complete"),
        ({"type": "lifespan.startup.failed", "message": 5}, "message"),
    ],
)
def test_a_wrong_message_in_the_startup_is_no_app_without_lifespan(
    make_client: MakeClient, sent: dict[str, Any], match: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(sent)
        await receive()

    with pytest.raises(AppProtocolError, match=match), make_client(app):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "thread")
def test_a_client_can_be_entered_again(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, scope["state"]["started"])
            return
        await receive()
        scope["state"]["started"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    client = make_client(app)
    for _ in range(2):
        with client:
            assert client.get("/").text == "True"


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    """Keeps a list in its state, and prints what becomes of it."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["paths"] = []
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown after", scope["state"]["paths"])
        await send({"type": "lifespan.shutdown.complete"})
    else:
        scope["state"].setdefault("paths", ["no lifespan"]).append(scope["path"])
        await respond(send, scope["state"]["paths"])


@pytest.mark.modes("fork", "thread")
def test_with_within_with_is_the_outer_one(make_client: MakeClient, capfd: pytest.CaptureFixture[str]) -> None:
    client = make_client(counting)
    for _ in range(2):
        with client:
            assert client.get("/a").text == "['/a']"
            with client, client as same:
                assert same is client
                assert client.get("/b").text == "['/a', '/b']"
            assert client.get("/c").text == "['/a', '/b', '/c']"
            with pytest.raises(ZeroDivisionError), client:
                _ = 1 / 0
            assert client.get("/d").text == "['/a', '/b', '/c', '/d']"
            assert "shutdown" not in capfd.readouterr().out
        assert capfd.readouterr().out == "shutdown after ['/a', '/b', '/c', '/d']\n"
    assert client.get("/").text == "['no lifespan', '/']"


@pytest.mark.modes("fork", "thread")
def test_closing_and_restarting_within_with(make_client: MakeClient, capfd: pytest.CaptureFixture[str]) -> None:
    client = make_client(counting)
    with client, client:
        client.restart()
        assert capfd.readouterr().out == "shutdown after []\n"
        assert client.get("/a").text == "['/a']"
    assert capfd.readouterr().out == "shutdown after ['/a']\n"
    with client, client:
        client.close()
        assert capfd.readouterr().out == "shutdown after []\n"
        with client:
            assert client.get("/b").text == "['/b']"
        assert capfd.readouterr().out == "shutdown after ['/b']\n"
    assert capfd.readouterr().out == ""


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_with_within_with_and_a_fork_for_each_request(make_client: MakeClient) -> None:
    client = make_client(counting, isolated="request")
    with client:
        with client:
            assert client.get("/a").text == "['/a']"
        assert client.get("/b").text == "['/b']"
    assert client.get("/c").text == "['no lifespan', '/c']"


@pytest.mark.modes("fork", "thread")
def test_a_client_that_was_used_before_it_is_entered(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, scope["state"])
            return
        await receive()
        scope["state"]["started"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    client = make_client(app)
    assert client.get("/").text == "{}"
    with client:
        assert client.get("/").text == "{'started': True}"


def test_restart_is_a_shutdown_and_a_startup(
    make_client: MakeClient, cell: Cell, capfd: pytest.CaptureFixture[str]
) -> None:
    requests_served: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            requests_served.append("one")
            await respond(send, f"{scope['state']} {len(requests_served)}")
            return
        for part in ("startup", "shutdown"):
            await receive()
            print(part)
            scope["state"]["started"] = True
            await send({"type": f"lifespan.{part}.complete"})

    with make_client(app) as client:
        assert client.get("/").text == "{'started': True} 1"
        before = client.pid
        client.restart()
        assert (client.pid != before) is cell.isolated
        # A fresh copy, but for what the test itself has made; which a fresh interpreter has nothing of.
        assert client.get("/").text == f"{{'started': True}} {1 if cell.is_fresh else 2}"
    assert capfd.readouterr().out.split() == ["startup", "shutdown", "startup", "shutdown"]
