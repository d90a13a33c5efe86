"""What Quart offers to apps and to their tests, and apps as in its tutorials, beyond the contract."""

import asyncio
import dataclasses
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from quart import (
    Blueprint,
    Quart,
    Response,
    abort,
    flash,
    g,
    get_flashed_messages,
    make_response,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
    websocket,
)

from isoclient import WebSocketDenialResponse, WebSocketDisconnect

if TYPE_CHECKING:
    from tests.conftest import MakeClient

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- the tutorial's blog, with a database


def make_blog(database: Path) -> Quart:
    app = Quart(__name__)
    app.secret_key = "for the test"

    def get_db() -> sqlite3.Connection:
        if not hasattr(g, "db"):
            g.db = sqlite3.connect(database)
        return g.db  # type: ignore[no-any-return]

    @app.before_serving
    async def create_table() -> None:
        with sqlite3.connect(database) as db:
            db.execute("CREATE TABLE post (title TEXT)")
        db.close()

    @app.teardown_appcontext
    async def close_db(error: BaseException | None) -> None:
        if hasattr(g, "db"):
            g.db.close()

    @app.get("/")
    async def posts() -> str:
        titles = [title for (title,) in get_db().execute("SELECT title FROM post")]
        return await render_template_string(
            "{{ titles|join(', ') }}|{{ messages|join }}", titles=titles, messages=get_flashed_messages()
        )

    @app.post("/create")
    async def create() -> Any:
        form = await request.form
        get_db().execute("INSERT INTO post VALUES (?)", (form["title"],))
        get_db().commit()
        await flash("created")
        return redirect(url_for("posts"))

    return app


def test_the_blog(make_client: "MakeClient", tmp_path: Path) -> None:
    with make_client(make_blog(tmp_path / "blog.db")) as client:
        assert client.get("/").text == "|"
        response = client.post("/create", data={"title": "<tea>"})
        assert response.text == "&lt;tea&gt;|created"
        assert [step.status_code for step in response.history] == [302]
        assert client.get("/").text == "&lt;tea&gt;|"
    with sqlite3.connect(tmp_path / "blog.db") as db:
        assert list(db.execute("SELECT title FROM post")) == [("<tea>",)]
    db.close()


# -- the tutorial's chat, with a broker


class Broker:
    def __init__(self) -> None:
        self.connections: set[asyncio.Queue[str]] = set()

    async def publish(self, message: str) -> None:
        for connection in self.connections:
            await connection.put(message)

    async def subscribe(self) -> AsyncIterator[str]:
        connection: asyncio.Queue[str] = asyncio.Queue()
        self.connections.add(connection)
        try:
            yield "welcome"
            while True:
                yield await connection.get()
        finally:
            self.connections.remove(connection)


def make_chat() -> Quart:
    app = Quart(__name__)
    broker = Broker()

    async def receive() -> None:
        while True:
            await broker.publish(str(await websocket.receive()))

    @app.websocket("/ws")
    async def ws() -> None:
        task = asyncio.ensure_future(receive())
        try:
            async for message in broker.subscribe():
                await websocket.send(message)
        finally:
            task.cancel()
            await asyncio.wait([task])

    return app


def test_the_chat(make_client: "MakeClient") -> None:
    client = make_client(make_chat())
    with client.websocket_connect("/ws") as ada, client.websocket_connect("/ws") as bob:
        assert [ada.receive_text(), bob.receive_text()] == ["welcome", "welcome"]
        ada.send_text("hello")
        assert [ada.receive_text(), bob.receive_text()] == ["hello", "hello"]


# -- the tutorial's server-sent events


@dataclasses.dataclass
class Event:
    data: str
    number: int

    def encode(self) -> str:
        return f"data: {self.data}\nid: {self.number}\n\n"


def test_server_sent_events(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.get("/sse")
    async def sse() -> Any:
        if not request.accept_mimetypes["text/event-stream"]:
            abort(400)

        @stream_with_context
        async def events() -> AsyncIterator[str]:
            for number in range(3):
                yield Event(request.args["data"], number).encode()

        response: Any = await make_response(events(), {"content-type": "text/event-stream"})
        response.timeout = None
        return response

    client = make_client(app)
    assert client.get("/sse", headers={"accept": "text/html"}).status_code == 400
    with client.get("/sse?data=tea", headers={"accept": "text/event-stream"}, stream=True) as response:
        lines = [line for line in response.iter_lines(decode_unicode=True) if line]
    assert lines == ["data: tea", "id: 0", "data: tea", "id: 1", "data: tea", "id: 2"]


# -- requests and responses


def test_sessions(make_client: "MakeClient") -> None:
    app = Quart(__name__)
    app.secret_key = "for the test"

    @app.post("/count")
    async def count() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    client = make_client(app)
    assert [client.post("/count").text for _ in range(3)] == ["1", "2", "3"]
    assert make_client(app).post("/count").text == "1"


def test_a_blueprint_and_hooks_around_its_requests(make_client: "MakeClient") -> None:
    blueprint = Blueprint("inner", __name__, url_prefix="/inner")

    @blueprint.before_request
    async def load_user() -> None:
        g.user = request.headers.get("x-user", "nobody")

    @blueprint.after_request
    async def name_user(response: Response) -> Response:
        response.headers["x-user"] = g.user
        return response

    @blueprint.get("/")
    async def me() -> str:
        return str(g.user)

    app = Quart(__name__)
    app.register_blueprint(blueprint)
    response = make_client(app).get("/inner/", headers={"x-user": "Ada"})
    assert (response.text, response.headers["x-user"]) == ("Ada", "Ada")


def test_an_error_handler_answers(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.errorhandler(LookupError)
    async def explain(error: LookupError) -> tuple[str, int]:
        return f"not found: {error}", 404

    @app.get("/")
    async def fail() -> str:
        raise LookupError("tea")

    response = make_client(app).get("/")
    assert (response.status_code, response.text) == (404, "not found: tea")


def test_a_handler_in_a_thread(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.get("/")
    def sync() -> str:
        return request.method

    # The default executor of the loop keeps its threads until the loop is closed, which is at the end of the client.
    with make_client(app) as client:
        assert client.get("/").text == "GET"


def test_a_file(make_client: "MakeClient", tmp_path: Path) -> None:
    (tmp_path / "tea.txt").write_bytes(b"0123456789" * 50_000)
    app = Quart(__name__)

    @app.get("/")
    async def download() -> Response:
        return await send_file(tmp_path / "tea.txt", as_attachment=True, conditional=True)

    client = make_client(app)
    response = client.get("/")
    assert response.content == (tmp_path / "tea.txt").read_bytes()
    assert response.headers["content-disposition"] == "attachment; filename=tea.txt"
    part = client.get("/", headers={"range": "bytes=8-11"})
    assert (part.status_code, part.content) == (206, b"8901")
    assert client.get("/", headers={"if-none-match": response.headers["etag"]}).status_code == 304


def test_a_body_is_read_as_it_is_sent(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.post("/")
    async def size() -> str:
        total = 0
        async for piece in request.body:
            total += len(piece)
        return str(total)

    assert make_client(app).post("/", data=(b"x" * 1000 for _ in range(100))).text == "100000"


def test_a_body_that_is_too_long(make_client: "MakeClient") -> None:
    app = Quart(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 10

    @app.post("/")
    async def take() -> str:
        return str(len(await request.get_data()))

    client = make_client(app)
    assert client.post("/", data="short").text == "5"
    assert client.post("/", data="longer than ten").status_code == 413


def test_under_a_root_path(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.get("/here")
    async def here() -> str:
        return url_for("here")

    assert make_client(app, root_path="/proxy").get("/proxy/here").text == "/proxy/here"


# -- WebSockets


def test_a_websocket_with_headers_and_a_subprotocol(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.websocket("/")
    async def talk() -> None:
        await websocket.accept(headers={"x-server": "quart"}, subprotocol="chat")
        await websocket.send_json({"you": websocket.headers["x-client"], "offered": websocket.requested_subprotocols})

    client = make_client(app)
    with client.websocket_connect("/", subprotocols=["chat", "other"], headers={"x-client": "test"}) as opened:
        assert opened.accepted_subprotocol == "chat"
        assert (b"x-server", b"quart") in opened.extra_headers
        assert opened.receive_json() == {"you": "test", "offered": ["chat", "other"]}
        with pytest.raises(WebSocketDisconnect) as closed:
            opened.receive_text()  # the handler has returned
    assert closed.value.code == 1000


def test_a_websocket_is_denied(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.websocket("/abort")
    async def deny() -> None:
        abort(403, "not you")

    @app.websocket("/response")
    async def answer() -> Any:
        return Response(json.dumps({"why": "no ticket"}), status=402, content_type="application/json")

    client = make_client(app)
    with pytest.raises(WebSocketDenialResponse) as denied:
        client.websocket_connect("/abort")
    assert denied.value.status_code == 403
    assert "not you" in denied.value.text
    with pytest.raises(WebSocketDenialResponse) as denied:
        client.websocket_connect("/response")
    assert (denied.value.status_code, denied.value.json()) == (402, {"why": "no ticket"})
    with pytest.raises(WebSocketDenialResponse) as denied:
        client.websocket_connect("/nowhere")
    assert denied.value.status_code == 404


def test_an_error_in_a_websocket_closes_it_or_is_raised(make_client: "MakeClient") -> None:
    app = Quart(__name__)

    @app.websocket("/")
    async def fail() -> None:
        await websocket.accept()
        raise LookupError("in the WebSocket")

    with make_client(app).websocket_connect("/") as opened, pytest.raises(WebSocketDisconnect) as closed:
        opened.receive_text()
    assert closed.value.code == 1000  # so says Quart

    app.config["PROPAGATE_EXCEPTIONS"] = True
    with (
        make_client(app).websocket_connect("/") as opened,
        # Quart from 0.23 on lets it through in a group.
        pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="in the WebSocket"), allow_unwrapped=True),
    ):
        opened.receive_text()


# -- background tasks


def test_the_end_of_the_app_waits_for_background_tasks(make_client: "MakeClient", tmp_path: Path) -> None:
    app = Quart(__name__)

    @app.post("/")
    async def begin() -> tuple[str, int]:
        async def work() -> None:
            for _ in range(100):
                await asyncio.sleep(0)
            (tmp_path / "worked").touch()

        app.add_background_task(work)
        return "", 202

    with make_client(app) as client:
        assert client.post("/").status_code == 202
    assert (tmp_path / "worked").exists()
