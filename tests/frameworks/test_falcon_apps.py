"""What Falcon offers to apps and to their tests, and apps as in its tutorials, beyond the contract."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import falcon
import falcon.asgi
import pytest
from falcon.asgi import App, Request, Response, SSEvent, WebSocket

from isoclient import WebSocketDisconnect

if TYPE_CHECKING:
    from tests.conftest import MakeClient

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- the tutorial's images, with a store


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path

    async def save(self, name: str, stream: Any) -> int:
        size = 0
        with (self.path / name).open("wb") as file:
            async for piece in stream:
                size += file.write(piece)
        return size


class Images:
    def __init__(self, store: Store) -> None:
        self.store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"images": [{"href": f"/images/{path.name}"} for path in sorted(self.store.path.iterdir())]}

    async def on_post(self, req: Request, resp: Response) -> None:
        if not (req.content_type or "").startswith("image/"):
            raise falcon.HTTPBadRequest(title="Bad request", description="that is no image")
        name = f"{len(list(self.store.path.iterdir()))}.{(req.content_type or '').removeprefix('image/')}"
        await self.store.save(name, req.stream)
        resp.status = falcon.HTTP_201
        resp.location = f"/images/{name}"

    async def on_get_image(self, req: Request, resp: Response, name: str) -> None:
        resp.content_type = f"image/{name.partition('.')[2]}"
        resp.data = (self.store.path / name).read_bytes()


def test_the_images(make_client: "MakeClient", tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    images = Images(Store(tmp_path / "images"))
    app = App()
    app.add_route("/images", images)
    app.add_route("/images/{name}", images, suffix="image")
    client = make_client(app)

    pieces = (bytes([number]) * 10_000 for number in range(10))
    response = client.post("/images", data=pieces, headers={"content-type": "image/png"})
    assert (response.status_code, response.headers["location"]) == (201, "/images/0.png")
    response = client.get(response.headers["location"])
    assert response.content == b"".join(bytes([number]) * 10_000 for number in range(10))
    assert response.headers["content-type"] == "image/png"
    assert client.get("/images").json() == {"images": [{"href": "/images/0.png"}]}
    refused = client.post("/images", json={})
    assert (refused.status_code, refused.json()["description"]) == (400, "that is no image")


# -- errors, hooks, middleware


def test_an_error_handler_answers(make_client: "MakeClient") -> None:
    class Thing:
        async def on_get(self, req: Request, resp: Response) -> None:
            raise LookupError("tea")

    async def explain(req: Request, resp: Response, error: LookupError, params: dict[str, Any]) -> None:
        raise falcon.HTTPNotFound(title=f"no {error}", headers={"x-error": "1"})

    app = App()
    app.add_route("/", Thing())
    app.add_error_handler(LookupError, explain)
    response = make_client(app).get("/")
    assert (response.status_code, response.json()["title"], response.headers["x-error"]) == (404, "no tea", "1")


def test_middleware(make_client: "MakeClient") -> None:
    class Authenticate:
        async def process_request(self, req: Request, resp: Response) -> None:
            given = (req.auth or "").removeprefix("Basic ")
            req.context.user = base64.b64decode(given).decode().partition(":")[0]
            if not req.context.user:
                raise falcon.HTTPUnauthorized(challenges=["Basic"])

        async def process_response(self, req: Request, resp: Response, resource: Any, succeeded: bool) -> None:
            resp.set_header("x-succeeded", str(succeeded))

    class Me:
        async def on_get(self, req: Request, resp: Response) -> None:
            resp.media = req.context.user

    app = App(middleware=[Authenticate()])
    app.add_route("/me", Me())
    client = make_client(app)
    response = client.get("/me")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Basic")
    assert response.headers["x-succeeded"] == "False"
    response = client.get("/me", auth=("ada", "secret"))
    assert (response.json(), response.headers["x-succeeded"]) == ("ada", "True")


async def limit_length(req: Request, resp: Response, resource: Any, params: dict[str, Any]) -> None:
    if (req.content_length or 0) > 10:
        raise falcon.HTTPContentTooLarge()


def test_a_hook_before_a_responder(make_client: "MakeClient") -> None:
    class Notes:
        @falcon.before(limit_length)
        async def on_post(self, req: Request, resp: Response) -> None:
            resp.data = (await req.bounded_stream.read())[::-1]

    app = App()
    app.add_route("/notes", Notes())
    client = make_client(app)
    assert client.post("/notes", data="short").text == "trohs"
    assert client.post("/notes", data="longer than ten").status_code == 413


def test_a_sink_under_a_root_path(make_client: "MakeClient") -> None:
    async def sink(req: Request, resp: Any, **parts: str) -> None:
        resp.media = [req.path, req.root_path, req.url]

    app = App()
    app.add_sink(sink, "/")
    client = make_client(app, root_path="/proxy")
    path, root_path, _ = client.get("/proxy/any/where").json()
    assert (path, root_path) == ("/proxy/any/where", "/proxy")


# -- responses


def test_static_files(make_client: "MakeClient", tmp_path: Path) -> None:
    (tmp_path / "tea.txt").write_bytes(b"0123456789")
    app = App()
    app.add_static_route("/static", str(tmp_path))
    # Falcon reads files in a thread of the loop's executor, which ends with the client.
    with make_client(app) as client:
        response = client.get("/static/tea.txt")
        assert (response.text, response.headers["content-type"]) == ("0123456789", "text/plain")
        part = client.get("/static/tea.txt", headers={"range": "bytes=2-4"})
        assert (part.status_code, part.text) == (206, "234")
        assert client.get("/static/nothing").status_code == 404


def test_server_sent_events(make_client: "MakeClient") -> None:
    class Events:
        async def on_get(self, req: Request, resp: Response) -> None:
            async def numbers() -> AsyncIterator[SSEvent]:
                for number in range(3):
                    yield SSEvent(event="count", json=number)

            resp.sse = numbers()

    app = App()
    app.add_route("/events", Events())
    with make_client(app).get("/events", stream=True) as response:
        lines = [line for line in response.iter_lines(decode_unicode=True) if line]
    assert lines == ["event: count", "data: 0", "event: count", "data: 1", "event: count", "data: 2"]


def test_leaving_endless_events(make_client: "MakeClient") -> None:
    class Events:
        def __init__(self) -> None:
            self.ended = asyncio.Event()

        async def on_get(self, req: Request, resp: Response) -> None:
            async def numbers() -> AsyncIterator[SSEvent | None]:
                try:
                    while True:
                        yield SSEvent(data=b"tick")
                        await asyncio.sleep(0)
                finally:
                    self.ended.set()

            resp.sse = numbers()

        async def on_get_ended(self, req: Request, resp: Response) -> None:
            await self.ended.wait()

    app, events = App(), Events()
    app.add_route("/events", events)
    app.add_route("/ended", events, suffix="ended")
    client = make_client(app)
    with client.get("/events", stream=True) as response:
        assert next(response.iter_lines()) == b"data: tick"
    assert client.get("/ended").status_code == 200


# -- WebSockets


class Echo:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        await ws.accept(subprotocol="echo" if "echo" in ws.subprotocols else None, headers=[("x-echo", "yes")])
        while True:
            await ws.send_media({"again": await ws.receive_media()})


class Fail:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        await ws.accept()
        raise LookupError("in the WebSocket")


class Push:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_text("tick")
            await asyncio.sleep(0)


class Refuse:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        raise falcon.HTTPForbidden()


@pytest.fixture
def app() -> Any:
    app = App()
    for name, resource in {"echo": Echo(), "fail": Fail(), "push": Push(), "refuse": Refuse()}.items():
        app.add_route(f"/{name}", resource)
    return app


def test_media_in_a_websocket(make_client: "MakeClient", app: Any) -> None:
    with make_client(app).websocket_connect("/echo", subprotocols=["other", "echo"]) as session:
        assert session.accepted_subprotocol == "echo"
        assert session.extra_headers == [(b"x-echo", b"yes")]
        session.send_json({"number": 7})
        assert session.receive_json() == {"again": {"number": 7}}
    # Falcon itself catches the disconnect that the responder did not.


def test_leaving_a_responder_that_only_sends(make_client: "MakeClient", app: Any) -> None:
    with make_client(app).websocket_connect("/push") as session:
        assert session.receive_text() == "tick"


def test_the_error_of_a_websocket_is_a_close(make_client: "MakeClient", app: Any) -> None:
    with make_client(app).websocket_connect("/fail") as session, pytest.raises(WebSocketDisconnect) as closed:
        session.receive_text()
    assert closed.value.code == 1011


@pytest.mark.parametrize(("path", "code"), [("/refuse", 3403), ("/nowhere", 3404)])
def test_a_refused_websocket(make_client: "MakeClient", app: Any, path: str, code: int) -> None:
    with pytest.raises(WebSocketDisconnect) as refused:
        make_client(app).websocket_connect(path)
    assert refused.value.code == code
