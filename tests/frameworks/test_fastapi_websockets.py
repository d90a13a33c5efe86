"""WebSockets of FastAPI, with dependencies."""

from typing import TYPE_CHECKING, Annotated

import pytest
from fastapi import (
    Cookie,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
    status,
)

from isoclient import WebSocketDenialResponse
from isoclient import WebSocketDisconnect as OurDisconnect

if TYPE_CHECKING:
    from tests.conftest import MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- "Testing": an app with a token in a header, and a client at the level of the module


# -- "Testing WebSockets", and "WebSockets"


async def cookie_or_token(
    websocket: WebSocket,
    session: Annotated[str | None, Cookie()] = None,
    token: Annotated[str | None, Query()] = None,
) -> str:
    if session is None and token is None:
        raise WebSocketException(code=status.WS_1008_POLICY_VIOLATION, reason="no token")
    return session or token or ""


sockets = FastAPI()


@sockets.websocket("/ws")
async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"msg": "Hello WebSocket"})
    await websocket.close()


@sockets.websocket("/items/{item_id}/ws")
async def talk(
    websocket: WebSocket, item_id: str, who: Annotated[str, Depends(cookie_or_token)], q: int | None = None
) -> None:
    await websocket.accept()
    while True:
        data = await websocket.receive_text()
        await websocket.send_text(f"Session cookie or query token value is: {who}")
        if q is not None:
            await websocket.send_text(f"Query parameter q is: {q}")
        await websocket.send_text(f"Message text was: {data}, for item ID: {item_id}")


class ConnectionManager:
    def __init__(self) -> None:
        self.active: list[WebSocket] = []

    async def broadcast(self, message: str) -> None:
        for connection in self.active:
            await connection.send_text(message)


manager = ConnectionManager()


@sockets.websocket("/chat/{client_id}")
async def chat(websocket: WebSocket, client_id: int) -> None:
    await websocket.accept()
    manager.active.append(websocket)
    try:
        while True:
            await manager.broadcast(f"Client #{client_id} says: {await websocket.receive_text()}")
    except WebSocketDisconnect:
        manager.active.remove(websocket)
        await manager.broadcast(f"Client #{client_id} left the chat")


def test_a_websocket(make_client: "MakeClient") -> None:
    with make_client(sockets).websocket_connect("/ws") as session:
        assert session.receive_json() == {"msg": "Hello WebSocket"}


def test_a_websocket_with_dependencies(make_client: "MakeClient") -> None:
    client = make_client(sockets, cookies={"session": "fakesession"})
    session = client.websocket_connect("/items/foo/ws", params={"q": 3})
    session.send_text("Message one")
    assert [session.receive_text() for _ in range(3)] == [
        "Session cookie or query token value is: fakesession",
        "Query parameter q is: 3",
        "Message text was: Message one, for item ID: foo",
    ]
    with pytest.raises(WebSocketDisconnect), session:
        pass  # the handler does not catch it: see test_leaving_a_handler_that_receives


def test_a_websocket_that_a_dependency_refuses(make_client: "MakeClient") -> None:
    client = make_client(sockets)
    with pytest.raises(OurDisconnect) as refused:
        client.websocket_connect("/items/foo/ws")
    assert (refused.value.code, refused.value.reason) == (1008, "no token")


def test_a_websocket_with_invalid_input(make_client: "MakeClient") -> None:
    # FastAPI sends the list of what is wrong as the reason, which is to be a text. No server looks at it here.
    with pytest.raises(OurDisconnect) as refused:
        make_client(sockets).websocket_connect("/items/foo/ws?token=t&q=no-number")
    assert refused.value.code == 1008


def test_a_chat(make_client: "MakeClient") -> None:
    client = make_client(sockets)
    with client.websocket_connect("/chat/1") as one:
        with client.websocket_connect("/chat/2") as two:
            one.send_text("hello")
            assert [one.receive_text(), two.receive_text()] == ["Client #1 says: hello"] * 2
        assert one.receive_text() == "Client #2 left the chat"


def test_an_http_exception_denies_a_websocket(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.websocket("/")
    async def refuse(websocket: WebSocket) -> None:
        raise HTTPException(429, "later", headers={"retry-after": "7"})

    with pytest.raises(WebSocketDenialResponse) as denied:
        make_client(app).websocket_connect("/")
    assert (denied.value.status_code, denied.value.headers["retry-after"]) == (429, "7")
