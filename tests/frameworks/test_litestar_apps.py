"""What Litestar offers to apps and to their tests, and apps as in its documentation, beyond the contract."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from litestar import Controller, Litestar, MediaType, Request, Response, delete, get, post
from litestar.config.compression import CompressionConfig
from litestar.connection import ASGIConnection, WebSocket
from litestar.exceptions import HTTPException, NotAuthorizedException, WebSocketException
from litestar.handlers import BaseRouteHandler, WebsocketListener, websocket, websocket_listener
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.response import File, ServerSentEvent
from litestar.static_files import create_static_files_router

from isoclient import WebSocketDisconnect

if TYPE_CHECKING:
    from tests.conftest import MakeClient

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


def make_app(*handlers: Any, **options: Any) -> Litestar:
    # By default, every app starts a thread that writes its log.
    return Litestar([*handlers], logging_config=None, openapi_config=None, **options)


# -- the tutorial's list of things to do


@dataclass
class TodoItem:
    title: str
    done: bool


class TodoController(Controller):
    path = "/todo"

    @get()
    async def list(self, request: Request[Any, Any, Any]) -> list[TodoItem]:
        items: list[TodoItem] = request.app.state.todo
        wanted = request.query_params.get("done")
        return [item for item in items if wanted is None or item.done == (wanted == "true")]

    @post()
    async def add(self, request: Request[Any, Any, Any]) -> TodoItem:
        item = TodoItem(**await request.json())
        request.app.state.todo.append(item)
        return item

    @delete("/{title:str}")
    async def remove(self, request: Request[Any, Any, Any]) -> None:
        title = request.path_params["title"]
        found = [item for item in request.app.state.todo if item.title == title]
        if not found:
            raise HTTPException(f"no item {title!r}", status_code=404, extra={"title": title})
        request.app.state.todo.remove(found[0])


def start_empty(app: Litestar) -> None:
    app.state.todo = []


def test_the_list_of_things_to_do(make_client: "MakeClient") -> None:
    with make_client(make_app(TodoController, on_startup=[start_empty])) as client:
        assert client.post("/todo", json={"title": "learn", "done": True}).status_code == 201
        client.post("/todo", json={"title": "test", "done": False}).raise_for_status()
        assert [item["title"] for item in client.get("/todo").json()] == ["learn", "test"]
        assert client.get("/todo", params={"done": "true"}).json() == [{"title": "learn", "done": True}]
        assert client.delete("/todo/learn").status_code == 204
        response = client.delete("/todo/learn")
        assert (response.status_code, response.json()) == (
            404,
            {"status_code": 404, "detail": "no item 'learn'", "extra": {"title": "learn"}},
        )


# -- errors


def test_the_error_of_a_handler_is_in_the_page_in_debug_mode(make_client: "MakeClient") -> None:
    @get("/")
    async def divide() -> float:
        return 1 / 0

    response = make_client(make_app(divide, debug=True)).get("/")
    assert response.status_code == 500
    assert "ZeroDivisionError" in response.text


def test_an_exception_handler_answers(make_client: "MakeClient") -> None:
    @get("/")
    async def divide() -> float:
        return 1 / 0

    def explain(request: Request[Any, Any, Any], error: ZeroDivisionError) -> Response[str]:
        return Response(str(error), status_code=418, media_type=MediaType.TEXT)

    response = make_client(make_app(divide, exception_handlers={ZeroDivisionError: explain})).get("/")
    assert (response.status_code, response.text) == (418, "division by zero")


def test_an_after_exception_hook_sees_what_is_answered(make_client: "MakeClient") -> None:
    @get("/")
    async def divide() -> float:
        return 1 / 0

    async def note(error: Exception, scope: Any) -> None:
        scope["litestar_app"].state.seen = type(error).__name__

    app = make_app(divide, after_exception=[note])
    client = make_client(app)
    assert client.get("/").status_code == 500
    assert client.call(lambda: app.state.seen) == "ZeroDivisionError"


def test_a_guard(make_client: "MakeClient") -> None:
    def with_token(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if connection.headers.get("x-token") != "secret":
            raise NotAuthorizedException("no token")

    @get("/", guards=[with_token])
    async def hello() -> str:
        return "hello"

    client = make_client(make_app(hello))
    assert client.get("/").status_code == 401
    assert client.get("/", headers={"x-token": "secret"}).text == "hello"


# -- state, sessions, responses


def test_the_state_of_the_app_is_changed_through_call(make_client: "MakeClient") -> None:
    @get("/")
    async def me(request: Request[Any, Any, Any]) -> str:
        return str(request.app.state.user)

    app = make_app(me)
    app.state.user = "nobody"
    client = make_client(app)
    assert client.get("/").text == "nobody"
    client.call(lambda: setattr(app.state, "user", "Ada"))
    assert client.get("/").text == "Ada"


def test_sessions_on_the_server(make_client: "MakeClient") -> None:
    @post("/count")
    async def count(request: Request[Any, Any, Any]) -> int:
        request.session["count"] = request.session.get("count", 0) + 1
        return int(request.session["count"])

    client = make_client(make_app(count, middleware=[ServerSideSessionConfig().middleware]))
    assert [client.post("/count").json() for _ in range(3)] == [1, 2, 3]
    client.cookies.clear()
    assert client.post("/count").json() == 1


def test_server_sent_events(make_client: "MakeClient") -> None:
    @get("/")
    async def events() -> ServerSentEvent:
        async def numbers() -> AsyncIterator[dict[str, str]]:
            for number in range(3):
                yield {"data": str(number), "event": "count"}

        return ServerSentEvent(numbers())

    with make_client(make_app(events)).get("/", stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines(decode_unicode=True) if line]
    assert lines == ["event: count", "data: 0", "event: count", "data: 1", "event: count", "data: 2"]


def test_files(make_client: "MakeClient", tmp_path: Path) -> None:
    (tmp_path / "tea.txt").write_text("green\n" * 1000)

    @get("/download")
    async def download() -> File:
        return File(tmp_path / "tea.txt", filename="Tee.txt")

    app = make_app(
        download,
        create_static_files_router("/static", directories=[tmp_path]),
        compression_config=CompressionConfig(backend="gzip", minimum_size=100),
    )
    client = make_client(app)
    response = client.get("/static/tea.txt")
    assert (response.text, response.headers["content-encoding"]) == ("green\n" * 1000, "gzip")
    response = client.get("/download")
    assert response.text == "green\n" * 1000
    assert "Tee.txt" in response.headers["content-disposition"]
    assert client.get("/static/nothing").status_code == 404


# -- WebSockets


def test_a_listener(make_client: "MakeClient") -> None:
    @websocket_listener("/")
    async def shout(data: str) -> str:
        return data.upper()

    with make_client(make_app(shout)).websocket_connect("/") as session:
        session.send_text("hello")
        assert session.receive_text() == "HELLO"


def test_a_listener_class_that_counts_its_connections(make_client: "MakeClient") -> None:
    class Counter(WebsocketListener):
        path = "/"

        async def on_accept(self, socket: WebSocket[Any, Any, Any]) -> None:
            socket.app.state.open += 1

        async def on_disconnect(self, socket: WebSocket[Any, Any, Any]) -> None:
            socket.app.state.open -= 1

        async def on_receive(self, data: dict[str, int]) -> dict[str, int]:
            return {"twice": data["number"] * 2}

    app = make_app(Counter)
    app.state.open = 0
    client = make_client(app)
    with client.websocket_connect("/") as session:
        session.send_json({"number": 21})
        assert session.receive_json() == {"twice": 42}
        assert client.call(lambda: app.state.open) == 1
    assert client.call(lambda: app.state.open) == 0


def test_leaving_a_handler_that_only_sends(make_client: "MakeClient") -> None:
    @websocket("/")
    async def push(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        while True:
            await socket.send_text("tick")
            await asyncio.sleep(0)

    with make_client(make_app(push)).websocket_connect("/") as session:
        assert session.receive_text() == "tick"


def test_the_error_of_a_websocket_is_a_close(make_client: "MakeClient") -> None:
    @websocket("/unexpected")
    async def unexpected(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        raise LookupError("in the WebSocket")

    @websocket("/meant")
    async def meant(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        raise WebSocketException(detail="enough", code=4010)

    client = make_client(make_app(unexpected, meant))
    for path, code in [("/unexpected", 4500), ("/meant", 4010)]:
        with client.websocket_connect(path) as session, pytest.raises(WebSocketDisconnect) as closed:
            session.receive_text()
        assert closed.value.code == code


def test_a_guard_refuses_a_websocket(make_client: "MakeClient") -> None:
    def refuse(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        raise NotAuthorizedException("no token")

    @websocket("/", guards=[refuse])
    async def never(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()

    with pytest.raises(WebSocketDisconnect) as refused:
        make_client(make_app(never)).websocket_connect("/")
    assert (refused.value.code, refused.value.reason) == (4500, "no token")
