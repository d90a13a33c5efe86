"""The client leaves while the app is still at work: what the app gets to see, how long it may go on, what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from isoclient.server.server import Server

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


@pytest.fixture
def long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that is not cancelled before its time has passed takes longer than its client waits for it."""
    monkeypatch.setattr(Server, "grace", 300.0)


async def accept(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})


async def say(send: Send, text: object) -> None:
    await send({"type": "websocket.send", "text": str(text)})


async def begin(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})


# -- what the app sees


async def at_once() -> None:
    pass


async def in_turns() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def by_and_by() -> None:
    await anyio.sleep(0.1)  # longer than an app may wait for something of its own


@pytest.mark.parametrize("work", [at_once, in_turns, by_and_by])
def test_what_was_sent_before_the_close_is_worked_on(make_client: MakeClient, work: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while True:
            text = (await receive())["text"]
            await work()
            if text == "bad":
                raise TypeError("not this one")
            await say(send, text)

    client = make_client(app)
    websocket = client.websocket_connect("/")
    websocket.send_text("hello")
    websocket.send_text("bad")
    with pytest.raises(TypeError, match="not this one"), websocket:
        pass  # it is left at once


def test_sends_go_nowhere_until_the_app_has_seen_the_close(make_client: MakeClient) -> None:
    class App:
        seen: tuple[str, ...] = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            self.closed = anyio.Event()
            first = await receive()
            await self.closed.wait()
            await say(send, "an answer to the first")
            second = await receive()
            await say(send, "an answer to the second")
            last = await receive()
            try:
                await say(send, "too late")
            except OSError as error:
                self.seen = first["text"], second["text"], last["type"], type(error).__name__
                await send({"type": "websocket.close"})
                raise

    app = App()
    client = make_client(app)
    with client.websocket_connect("/") as websocket:
        websocket.send_text("one")
        websocket.send_text("two")
        websocket.close()
        client.call(lambda: app.closed.set())
    assert client.call(lambda: app.seen) == ("one", "two", "websocket.disconnect", "ClientDisconnected")


@pytest.mark.modes("fork", "thread")
def test_rules_hold_until_the_app_has_seen_the_close(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        assert (await receive())["text"] == "hello"
        await send({"type": "websocket.send", "text": 5})

    client = make_client(app)
    with pytest.raises(RuntimeError, match=r"websocket\.send"), client.websocket_connect("/") as websocket:
        websocket.send_text("hello")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_the_close_that_was_first_is_the_one_that_the_app_sees(make_client: MakeClient) -> None:
    class App:
        code = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            self.left = anyio.Event()
            await send({"type": "websocket.close", "code": 4001})
            await self.left.wait()
            self.code = (await receive())["code"]

    app = App()
    client = make_client(app)
    with client.websocket_connect("/") as websocket:
        websocket.close(4002)
        client.call(lambda: app.left.set())
    assert client.call(lambda: app.code) == 4001


# -- how long it may go on


async def waits(send: Send) -> None:
    await anyio.Event().wait()


async def sends_for_ever(send: Send) -> None:
    while True:
        await say(send, "x" * 100_000)


async def ticks(send: Send) -> None:
    while True:
        await say(send, "tick")
        await anyio.sleep(0.001)


@pytest.mark.modes("fork", "thread")
@pytest.mark.usefixtures("long_grace")
@pytest.mark.parametrize("goes_on", [waits, sends_for_ever, ticks])
@pytest.mark.parametrize("takes", [True, False], ids=["receives", "never receives"])
def test_a_websocket_whose_app_waits_for_something_of_its_own(
    make_client: MakeClient, goes_on: Any, takes: bool
) -> None:
    class App:
        cleaned_up = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.accept"})
            if takes:
                assert [(await receive())["type"] for _ in range(2)] == ["websocket.connect", "websocket.receive"]
            try:
                await say(send, "welcome")
                await goes_on(send)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.1)
                self.cleaned_up += 1

    app = App()
    client = make_client(app)
    with client.websocket_connect("/") as websocket:
        if takes:
            websocket.send_text("hello")
        assert websocket.receive_text() == "welcome"
    assert client.call(lambda: app.cleaned_up) == 1


@pytest.mark.modes("fork", "thread")
def test_an_app_that_knows_has_its_time(make_client: MakeClient) -> None:
    class App:
        cleaned_up = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            assert (await receive())["type"] == "websocket.disconnect"
            await by_and_by()
            self.cleaned_up = True

    app = App()
    client = make_client(app)
    with client.websocket_connect("/"):
        pass
    assert client.call(lambda: app.cleaned_up)


@pytest.mark.modes("fork", "thread")
def test_an_app_that_has_closed_has_its_time(make_client: MakeClient) -> None:
    class App:
        cleaned_up = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            await send({"type": "websocket.close"})
            await by_and_by()
            self.cleaned_up = True

    app = App()
    client = make_client(app)
    with client.websocket_connect("/"):
        pass
    assert client.call(lambda: app.cleaned_up)


@pytest.mark.modes("fork", "thread")
@pytest.mark.usefixtures("long_grace")
def test_a_streamed_response_whose_app_waits_for_something_of_its_own(make_client: MakeClient) -> None:
    class App:
        cleaned_up = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await begin(send)
            try:
                await anyio.Event().wait()
            finally:
                self.cleaned_up = True

    app = App()
    client = make_client(app)
    with client.get("/", stream=True) as response:
        assert next(response.iter_content(None)) == b"first"
    assert client.call(lambda: app.cleaned_up)


@pytest.mark.modes("fork", "thread")
def test_a_streamed_response_whose_app_knows_has_its_time(make_client: MakeClient) -> None:
    class App:
        cleaned_up = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await begin(send)
            try:
                while True:
                    await begin_again(send)
            except OSError:
                await by_and_by()
                self.cleaned_up = True

    async def begin_again(send: Send) -> None:
        await send({"type": "http.response.body", "body": b"next", "more_body": True})
        await anyio.lowlevel.checkpoint()

    app = App()
    client = make_client(app)
    with client.get("/", stream=True) as response:
        next(response.iter_content(None))
    assert client.call(lambda: app.cleaned_up)


@pytest.mark.modes("fork", "thread")
@pytest.mark.usefixtures("long_grace")
def test_closing_the_client_over_what_waits(make_client: MakeClient, recwarn: pytest.WarningsRecorder) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (begin(send) if scope["type"] == "http" else accept(receive, send))
        await anyio.Event().wait()

    client = make_client(app)
    response = client.get("/", stream=True)
    websocket = client.websocket_connect("/")
    client.close()
    assert not recwarn.list  # it had not to be ended by force
    response.close()
    with websocket:  # to leave both is no error either
        pass


# -- what is told


class PaymentDisconnect(Exception):
    """An error of the app's, whatever it is called."""


async def fails_while_it_cleans_up(send: Send) -> None:
    try:
        await say(send, "too late")
    finally:
        raise PaymentDisconnect("the card reader is gone")


async def fails_because_of_it(send: Send) -> None:
    try:
        await say(send, "too late")
    except OSError as error:
        raise PaymentDisconnect("nobody pays") from error


async def fails_by_itself(send: Send) -> None:
    raise PaymentDisconnect("the card reader is gone")


def seen_and_then(fails: Any) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        assert (await receive())["type"] == "websocket.disconnect"
        await fails(send)

    return app


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("fails", [fails_while_it_cleans_up, fails_by_itself])
def test_the_name_of_the_apps_error_does_not_matter(make_client: MakeClient, fails: Any) -> None:
    client = make_client(seen_and_then(fails))
    with pytest.raises(PaymentDisconnect, match="the card reader is gone"), client.websocket_connect("/"):
        pass


@pytest.mark.modes("fork", "thread")
def test_what_the_app_makes_of_our_error_is_none_of_its_own(make_client: MakeClient) -> None:
    with make_client(seen_and_then(fails_because_of_it)).websocket_connect("/"):
        pass


@pytest.mark.modes("fork", "thread")
def test_several_errors_of_which_one_is_the_apps(make_client: MakeClient) -> None:
    async def fails(send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fails_because_of_it, send)
            tasks.start_soon(fails_by_itself, send)

    with pytest.raises(ExceptionGroup) as caught, make_client(seen_and_then(fails)).websocket_connect("/"):
        pass
    assert caught.group_contains(PaymentDisconnect, match="the card reader is gone")


@pytest.mark.modes("fork", "thread")
def test_the_same_of_a_streamed_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        assert [message["type"] async for message in until_disconnected(receive)] == ["http.request"]
        try:
            await send({"type": "http.response.body", "body": b"too late"})
        finally:
            raise PaymentDisconnect("the card reader is gone")

    response = make_client(app).get("/", stream=True)
    with pytest.raises(PaymentDisconnect, match="the card reader is gone"):
        response.close()


async def until_disconnected(receive: Receive) -> AsyncIterator[dict[str, Any]]:
    while (message := await receive())["type"] != "http.disconnect":
        yield message


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_what_starlette_makes_of_our_error(make_client: MakeClient) -> None:
    applications = pytest.importorskip("starlette.applications")
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    class Left(Exception):
        """What the app makes of Starlette's class is its own again."""

    async def lets_it_out(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()
        websocket.client_state = websocket.client_state.CONNECTED
        await websocket.send_text("too late")

    async def replaces_it(websocket: WebSocket) -> None:
        try:
            await lets_it_out(websocket)
        finally:
            raise Left

    routes = [WebSocketRoute("/out", lets_it_out), WebSocketRoute("/replaced", replaces_it)]
    client = make_client(applications.Starlette(routes=routes))
    with client.websocket_connect("/out"):
        pass
    with pytest.raises(Left), client.websocket_connect("/replaced"):
        pass
