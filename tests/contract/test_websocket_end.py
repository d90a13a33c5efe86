"""How a WebSocket ends: by either side, by an exception, or by the end of the block."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import requests

from isoclient import AppProtocolError, TestClient, WebSocketDenialResponse, WebSocketDisconnect

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


def test_the_app_closes(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "last words"})
        await send({"type": "websocket.close", "code": 4001, "reason": "grün"})

    with make_client(app).websocket_connect("/") as websocket:
        assert websocket.receive_text() == "last words"
        with pytest.raises(WebSocketDisconnect) as caught:
            websocket.receive_text()
        assert (caught.value.code, caught.value.reason) == (4001, "grün")
        with pytest.raises(WebSocketDisconnect) as again:
            websocket.receive_json()
        assert (again.value.code, again.value.reason) == (4001, "grün")
        websocket.send_text("nobody reads it")


@pytest.mark.modes("fork", "thread")
def test_the_app_closes_with_the_defaults(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    with make_client(app).websocket_connect("/") as websocket:
        assert websocket.receive() == {"type": "websocket.close", "code": 1000, "reason": ""}


@pytest.mark.modes("fork", "thread")
def test_an_app_that_returns_closes(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    with make_client(app).websocket_connect("/") as websocket, pytest.raises(WebSocketDisconnect) as caught:
        websocket.receive_bytes()
    assert caught.value.code == 1000


@pytest.mark.modes("fork", "thread")
def test_a_disconnect_may_leave_the_block(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1001})

    with pytest.raises(WebSocketDisconnect) as caught, make_client(app).websocket_connect("/") as websocket:
        websocket.receive_text()
    assert caught.value.code == 1001


def test_the_client_closes(make_client: MakeClient) -> None:
    class App:
        received: object = None
        sent: object = None

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            self.received = [await receive(), await receive()]
            try:
                await send({"type": "websocket.send", "text": "too late"})
            except OSError:
                self.sent = "OSError"

    app = App()
    client = make_client(app)
    with client.websocket_connect("/") as websocket:
        websocket.close(4002, "enough")
        websocket.close(4003)  # has no effect
    disconnect = {"type": "websocket.disconnect", "code": 4002, "reason": "enough"}
    assert client.call(lambda: app.received) == [disconnect, disconnect]
    assert client.call(lambda: app.sent) == "OSError"


@pytest.mark.modes("fork", "thread")
def test_leaving_the_block_closes(make_client: MakeClient) -> None:
    class App:
        received: object = None

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            self.received = await receive()

    app = App()
    client = make_client(app)
    with client.websocket_connect("/"):
        pass
    assert client.call(lambda: app.received) == {"type": "websocket.disconnect", "code": 1000, "reason": ""}


@pytest.mark.modes("fork", "thread")
def test_what_the_client_sent_is_read_before_the_disconnect(make_client: MakeClient) -> None:
    class App:
        received: object = None

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            self.received = [(await receive()).get("text") for _ in range(4)]

    app = App()
    client = make_client(app)
    with client.websocket_connect("/") as websocket:
        for text in ("a", "b", "c"):
            websocket.send_text(text)
    assert client.call(lambda: app.received) == ["a", "b", "c", None]


@pytest.mark.modes("fork", "thread")
def test_leaving_the_block_waits_for_the_end_of_the_apps_call(make_client: MakeClient) -> None:
    class App:
        cleaned_up = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            self.cleaned_up = True

    app = App()
    client = make_client(app)
    with client.websocket_connect("/"):
        pass
    assert client.call(lambda: app.cleaned_up)


@pytest.mark.usefixtures("short_grace")
def test_an_app_that_does_not_end_is_cancelled(make_client: MakeClient) -> None:
    class App:
        cancelled = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.accept"})
            try:
                await anyio.Event().wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled = True
                raise

    app = App()
    client = make_client(app)
    with client.websocket_connect("/"):
        pass
    assert client.call(lambda: app.cancelled)


def test_the_app_raises_while_the_client_waits(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "first"})
        raise LookupError("then this")

    with make_client(app).websocket_connect("/") as websocket:
        assert websocket.receive_text() == "first"
        with pytest.raises(LookupError, match="then this"):
            websocket.receive_text()
    # It was raised once: leaving the block does not raise it again.


def test_the_app_raises_and_nobody_receives(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise LookupError("at the end of the block")

    with pytest.raises(LookupError, match="at the end"), make_client(app).websocket_connect("/") as websocket:
        websocket.send_text("boom")


@pytest.mark.modes("fork", "thread")
def test_the_app_raises_upon_the_disconnect(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        raise LookupError(message["type"])

    with pytest.raises(LookupError, match=r"websocket\.disconnect"), make_client(app).websocket_connect("/"):
        pass


@pytest.mark.modes("fork", "thread")
def test_what_failed_in_the_block_comes_first(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise LookupError("the app's")

    with pytest.raises(AssertionError, match="the test's") as caught, make_client(app).websocket_connect("/"):
        raise AssertionError("the test's")
    assert any("the app's" in note for note in caught.value.__notes__)


@pytest.mark.modes("fork", "thread")
def test_the_app_raises_before_it_answers_the_handshake(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise LookupError("no handshake")

    with pytest.raises(LookupError, match="no handshake"):
        make_client(app).websocket_connect("/")
    with pytest.raises(WebSocketDenialResponse) as caught:
        make_client(app, raise_server_exceptions=False).websocket_connect("/")
    assert caught.value.status_code == 500


@pytest.mark.modes("fork", "thread")
def test_without_raising_the_apps_failure_is_a_close(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise LookupError("not seen")

    with make_client(app, raise_server_exceptions=False).websocket_connect("/") as websocket:
        websocket.send_text("boom")
        with pytest.raises(WebSocketDisconnect) as caught:
            websocket.receive_text()
        assert caught.value.code == 1011
    with make_client(app, raise_server_exceptions=False).websocket_connect("/"):
        pass


@pytest.mark.modes("fork", "thread")
def test_an_app_that_does_not_answer_the_handshake(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    with pytest.raises(AppProtocolError, match=r"without answering the handshake"):
        make_client(app).websocket_connect("/")


def test_a_refused_handshake(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4003, "reason": "no"})

    client = make_client(app)
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/"):
        pytest.fail("the block must not run")
    assert (caught.value.code, caught.value.reason) == (4003, "no")
    with pytest.raises(WebSocketDisconnect):  # and again, for it was no accident
        client.websocket_connect("/")


@pytest.mark.modes("fork", "thread")
def test_a_refused_handshake_and_an_app_that_raises_then(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4003, "reason": "no"})
        raise LookupError("after the refusal")

    for raises in (True, False):
        with pytest.raises(WebSocketDisconnect) as caught:
            make_client(app, raise_server_exceptions=raises).websocket_connect("/")
        assert (caught.value.code, caught.value.reason) == (4003, "no")
        assert repr(caught.value.__cause__) == "LookupError('after the refusal')"


@pytest.mark.modes("fork", "thread")
@pytest.mark.usefixtures("short_grace")
def test_an_app_that_goes_on_after_its_close(make_client: MakeClient) -> None:
    class App:
        received = ""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1001})
            self.received = (await receive())["type"]
            await anyio.Event().wait()

    app = App()
    client = make_client(app)
    with client.websocket_connect("/") as websocket, pytest.raises(WebSocketDisconnect):
        websocket.receive_text()
    assert client.call(lambda: app.received) == "websocket.disconnect"


@pytest.mark.modes("fork", "thread")
def test_requests_go_on_after_each_kind_of_end(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})
            return
        if scope["path"] == "/refuse":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        if scope["path"] == "/raise":
            raise LookupError

    client = make_client(app)
    before = client.pid
    with pytest.raises(LookupError), client.websocket_connect("/raise"):
        pass
    with pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/refuse")
    with client.websocket_connect("/"):
        pass
    assert client.get("/").status_code == 204
    assert client.pid == before


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_closing_the_client_ends_open_sessions(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    client = make_client(app)
    with client.websocket_connect("/") as websocket:
        client.close()
        with pytest.raises((WebSocketDisconnect, requests.ConnectionError)):
            websocket.receive_text()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_session_that_is_never_entered_or_closed(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    client = make_client(app)
    client.websocket_connect("/")
    client.close()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_starlettes_own_class_catches_ours(make_client: MakeClient) -> None:
    starlette_websockets = pytest.importorskip("starlette.websockets")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/refuse":
            await send({"type": "websocket.close", "code": 4003, "reason": "no"})
        elif scope["path"] == "/deny":
            await send({"type": "websocket.http.response.start", "status": 401})
            await send({"type": "websocket.http.response.body", "body": b"who?"})
        else:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4004, "reason": "enough"})

    client = make_client(app)
    with pytest.raises(starlette_websockets.WebSocketDisconnect) as refused:
        client.websocket_connect("/refuse")
    assert isinstance(refused.value, WebSocketDisconnect)
    assert (refused.value.code, refused.value.reason) == (4003, "no")
    with pytest.raises(starlette_websockets.WebSocketDisconnect) as denied:
        client.websocket_connect("/deny")
    assert isinstance(denied.value, WebSocketDenialResponse)
    assert denied.value.status_code == 401
    with client.websocket_connect("/") as websocket:
        with pytest.raises(starlette_websockets.WebSocketDisconnect) as closed:
            websocket.receive_text()
        assert (closed.value.code, closed.value.reason) == (4004, "enough")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_session_outlives_the_tests_reference_to_the_client(cell: Cell) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    with TestClient(app, timeout=30, **cell.options).websocket_connect("/") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
    del websocket
    gc.collect()
