"""What Starlette offers for WebSockets, beyond the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import starlette.websockets
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import (
    JSONResponse,
)
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import isoclient
from isoclient import WebSocketDenialResponse
from tests.frameworks.starlette_parts import echo

if TYPE_CHECKING:
    from tests.conftest import MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# Only for handlers that are coroutines: trio keeps the thread of another kind for ten seconds.
and_trio = pytest.mark.backends("asyncio", "trio")


# -- WebSockets


async def push(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text("tick")
        await anyio.sleep(0)


async def echo_and_close(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
    await websocket.close()


def app_of(handler: Callable[[WebSocket], Any]) -> Starlette:
    return Starlette(routes=[WebSocketRoute("/", handler)])


@and_trio
def test_leaving_a_handler_that_only_sends(make_client: MakeClient) -> None:
    # As under a server, the end of the client is no error of the app.
    with make_client(app_of(push)).websocket_connect("/") as session:
        assert session.receive_text() == "tick"


@and_trio
def test_leaving_a_handler_that_closes_in_the_end(make_client: MakeClient) -> None:
    with make_client(app_of(echo_and_close)).websocket_connect("/") as session:
        session.send_text("hello")
        assert session.receive_text() == "hello"


@and_trio
def test_leaving_a_handler_that_receives(make_client: MakeClient) -> None:
    # What it gets from receive, and does not catch, is an exception of the app, as in Starlette's own client.
    session = make_client(app_of(echo)).websocket_connect("/")
    session.send_text("hello")
    assert session.receive_text() == "hello"
    with pytest.raises(WebSocketDisconnect) as left, session:
        pass
    assert left.value.code == 1000


@and_trio
def test_leaving_a_handler_with_a_reader_and_a_writer(make_client: MakeClient) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        send, receive = anyio.create_memory_object_stream[Any]()

        async def read() -> None:
            async with send:
                async for item in websocket.iter_json():
                    await send.send(item)

        async with anyio.create_task_group() as group, receive:
            group.start_soon(read)
            async for item in receive:
                await websocket.send_json({"you said": item})
        await websocket.close()

    with make_client(app_of(talk)).websocket_connect("/") as session:
        session.send_json("hello")
        assert session.receive_json() == {"you said": "hello"}


@and_trio
@pytest.mark.parametrize("handler", [push, echo])
def test_the_error_of_a_handler_whose_client_has_left(
    make_client: MakeClient, handler: Callable[[WebSocket], Any]
) -> None:
    async def fail_in_the_end(websocket: WebSocket) -> None:
        try:
            await handler(websocket)
        finally:
            raise LookupError("while it was cleaning up")

    session = make_client(app_of(fail_in_the_end)).websocket_connect("/")
    session.send_text("hello")
    session.receive_text()
    with pytest.raises(LookupError, match="while it was cleaning up"), session:
        pass


@and_trio
def test_an_error_beside_the_disconnect_in_a_group(make_client: MakeClient) -> None:
    async def fail_in_a_task(websocket: WebSocket) -> None:
        await websocket.accept()
        send_failed = anyio.Event()

        async def wait_and_fail() -> None:
            try:
                await send_failed.wait()
            finally:
                raise LookupError("in another task")

        async with anyio.create_task_group() as group:
            group.start_soon(wait_and_fail)
            while True:
                await websocket.send_text("tick")
                await anyio.sleep(0)

    session = make_client(app_of(fail_in_a_task)).websocket_connect("/")
    assert session.receive_text() == "tick"
    with pytest.raises(ExceptionGroup) as raised, session:
        pass
    assert raised.group_contains(LookupError, match="in another task")


class Parrot(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="parrot", headers=[(b"x-bird", b"grey")])

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json({"again": data})

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        websocket.app.state.codes.append(close_code)
        await websocket.close(close_code)  # too late, and no error: the WebSocket is closed already


@and_trio
def test_class_based_websockets(make_client: MakeClient) -> None:
    app = Starlette(routes=[WebSocketRoute("/", Parrot)])
    app.state.codes = []
    client = make_client(app)
    with client.websocket_connect("/", subprotocols=["cat", "parrot"]) as session:
        assert session.accepted_subprotocol == "parrot"
        assert session.extra_headers == [(b"x-bird", b"grey")]
        session.send_json([1, "zwölf"])
        assert session.receive_json() == {"again": [1, "zwölf"]}
        session.close(1001)
    assert client.call(lambda: app.state.codes) == [1001]


@and_trio
def test_the_error_of_a_handler_whose_client_did_not_wait(make_client: MakeClient) -> None:
    # It closes, and raises, for what comes is no JSON. Whether the client has left before that must not matter.
    class Strict(WebSocketEndpoint):
        encoding = "json"

    client = make_client(Starlette(routes=[WebSocketRoute("/", Strict)]))
    for _ in range(20):
        with pytest.raises(RuntimeError, match="Malformed JSON"), client.websocket_connect("/") as session:
            session.send_text("no JSON")


@and_trio
def test_a_websocket_is_denied(make_client: MakeClient) -> None:
    async def deny(websocket: WebSocket) -> None:
        response = JSONResponse({"why": "no ticket"}, status_code=402, headers={"x-price": "3"})
        await websocket.send_denial_response(response)

    async def deny_by_exception(websocket: WebSocket) -> None:
        raise HTTPException(403, "not you")

    async def refuse(websocket: WebSocket) -> None:
        await websocket.close(1008, "no")

    app = Starlette(
        routes=[
            WebSocketRoute("/denied", deny),
            WebSocketRoute("/exception", deny_by_exception),
            WebSocketRoute("/refused", refuse),
        ]
    )
    client = make_client(app)
    with pytest.raises(WebSocketDenialResponse) as denied:
        client.websocket_connect("/denied")
    assert (denied.value.status_code, denied.value.json()) == (402, {"why": "no ticket"})
    assert denied.value.headers["x-price"] == "3"
    with pytest.raises(WebSocketDenialResponse) as denied:
        client.websocket_connect("/exception")
    assert (denied.value.status_code, denied.value.text) == (403, "not you")
    with pytest.raises(isoclient.WebSocketDisconnect) as refused:
        client.websocket_connect("/refused")
    assert (refused.value.code, refused.value.reason) == (1008, "no")
    with pytest.raises(isoclient.WebSocketDisconnect) as refused:
        client.websocket_connect("/nowhere")
    assert not isinstance(refused.value, WebSocketDenialResponse)


@and_trio
def test_starlettes_own_class_catches_our_disconnect(make_client: MakeClient) -> None:
    async def close(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000, "enough")

    with make_client(app_of(close)).websocket_connect("/") as session:
        with pytest.raises(starlette.websockets.WebSocketDisconnect) as closed:
            session.receive_text()
        assert isinstance(closed.value, isoclient.WebSocketDisconnect)
        assert (closed.value.code, closed.value.reason) == (4000, "enough")


@and_trio
def test_the_app_raises_starlettes_disconnect_itself(make_client: MakeClient) -> None:
    async def give_up(websocket: WebSocket) -> None:
        await websocket.accept()
        raise WebSocketDisconnect(4001, "raised by the app")

    with (
        pytest.raises(starlette.websockets.WebSocketDisconnect) as raised,
        make_client(app_of(give_up)).websocket_connect("/") as session,
    ):
        session.receive_text()
    assert (raised.value.code, raised.value.reason) == (4001, "raised by the app")


@and_trio
def test_an_error_in_a_websocket(make_client: MakeClient) -> None:
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("now")
        raise LookupError("in the WebSocket")

    client = make_client(app_of(fail))
    with client.websocket_connect("/") as session:
        assert session.receive_text() == "now"
        with pytest.raises(LookupError, match="in the WebSocket"):
            session.receive_text()
    with pytest.raises(LookupError, match="in the WebSocket"), client.websocket_connect("/"):
        pass  # without a receive, it is raised at the end of the block


@and_trio
def test_a_chat(make_client: MakeClient) -> None:
    members: list[WebSocket] = []

    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        members.append(websocket)
        try:
            async for text in websocket.iter_text():
                for member in members:
                    await member.send_text(text)
        finally:
            members.remove(websocket)

    app = app_of(chat)
    app.state.members = members
    client = make_client(app)
    with client.websocket_connect("/") as ada, client.websocket_connect("/") as bob:
        ada.send_text("hello, Bob")
        assert [ada.receive_text(), bob.receive_text()] == ["hello, Bob", "hello, Bob"]
        bob.send_text("hello, Ada")
        assert [ada.receive_text(), bob.receive_text()] == ["hello, Ada", "hello, Ada"]
    assert client.call(lambda: len(app.state.members)) == 0
