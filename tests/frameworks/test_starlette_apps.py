"""What Starlette offers to apps and to their tests, beyond the contract."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import starlette.websockets
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser, requires
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.websockets import WebSocket, WebSocketDisconnect

import isoclient
from isoclient import WebSocketDenialResponse

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]

# Only for handlers that are coroutines: trio keeps the thread of another kind for ten seconds.
and_trio = pytest.mark.backends("asyncio", "trio")


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


# -- templates


class Unsendable:
    """Neither pickle nor dill can send it, like a database session."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()


@pytest.fixture
def templates(tmp_path: Path) -> Jinja2Templates:
    (tmp_path / "base.html").write_text("<title>{% block title %}{% endblock %}</title>")
    (tmp_path / "cart.html").write_text(
        "{% extends 'base.html' %}{% block title %}{{ items|length }} items{% endblock %}"
    )
    return Jinja2Templates(tmp_path)


def test_a_response_knows_its_template_and_context(make_client: MakeClient, templates: Jinja2Templates) -> None:
    def cart(request: Request) -> Response:
        return templates.TemplateResponse(request, "cart.html", {"user": Unsendable("Ada"), "items": ["tea", "cup"]})

    response = make_client(Starlette(routes=[Route("/cart", cart)])).get("/cart")
    assert response.text == "<title>2 items</title>"
    assert response.template.name == "cart.html"
    assert response.context["items"] == ["tea", "cup"]
    assert response.context["user"].name == "Ada"
    assert "request" in response.context


def test_a_response_without_a_template_has_none(make_client: MakeClient) -> None:
    response = make_client(Starlette(routes=[Route("/", hello)])).get("/")
    assert (response.template, response.context) == (None, None)


def test_a_template_below_a_middleware(make_client: MakeClient, templates: Jinja2Templates) -> None:
    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    def cart(request: Request) -> Response:
        return templates.TemplateResponse(request, "cart.html", {"items": []})

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_on), Middleware(CORSMiddleware)]
    response = make_client(Starlette(routes=[Route("/cart", cart)], middleware=middleware)).get("/cart")
    assert response.text == "<title>0 items</title>"
    assert response.template.name == "cart.html"


def test_a_streamed_template(make_client: MakeClient, templates: Jinja2Templates) -> None:
    def cart(request: Request) -> Response:
        return templates.TemplateResponse(request, "cart.html", {"items": [1]}, status_code=418)

    with make_client(Starlette(routes=[Route("/cart", cart)])).get("/cart", stream=True) as response:
        assert response.template.name == "cart.html"
        assert response.context["items"] == [1]
        assert response.status_code == 418


# -- errors


@and_trio
def test_an_http_exception_is_a_response(make_client: MakeClient) -> None:
    async def secret(request: Request) -> Response:
        raise HTTPException(401, "who are you?", headers={"www-authenticate": "Basic"})

    response = make_client(Starlette(routes=[Route("/", secret)])).get("/")
    assert (response.status_code, response.text) == (401, "who are you?")
    assert response.headers["www-authenticate"] == "Basic"


def test_an_exception_handler_answers(make_client: MakeClient) -> None:
    async def divide(request: Request) -> Response:
        return PlainTextResponse(str(1 // 0))

    def explain(request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"{request.url.path}: {error}", status_code=400)

    app = Starlette(routes=[Route("/divide", divide)], exception_handlers={ZeroDivisionError: explain})
    response = make_client(app).get("/divide")
    assert (response.status_code, response.text) == (400, "/divide: integer division or modulo by zero")


@and_trio
def test_the_handler_for_500_answers_and_the_exception_is_raised(make_client: MakeClient) -> None:
    async def divide(request: Request) -> Response:
        return PlainTextResponse(str(1 // 0))

    async def apologise(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", status_code=500)

    app = Starlette(routes=[Route("/", divide)], exception_handlers={500: apologise})
    with pytest.raises(ZeroDivisionError):
        make_client(app).get("/")
    response = make_client(app, raise_server_exceptions=False).get("/")
    assert (response.status_code, response.text) == (500, "sorry")


def test_the_debug_page(make_client: MakeClient) -> None:
    async def divide(request: Request) -> Response:
        return PlainTextResponse(str(1 // 0))

    app = Starlette(debug=True, routes=[Route("/", divide)])
    client = make_client(app, raise_server_exceptions=False)
    assert "ZeroDivisionError: integer division or modulo by zero" in client.get("/").text
    assert "<title>Starlette Debugger</title>" in client.get("/", headers={"accept": "text/html"}).text


@and_trio
def test_an_exception_in_the_middle_of_a_stream(make_client: MakeClient) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        raise LookupError("no second piece")

    async def stream(request: Request) -> Response:
        return StreamingResponse(pieces())

    client = make_client(Starlette(routes=[Route("/", stream)]))
    with client.get("/", stream=True) as response:
        received = response.iter_content(None)
        assert next(received) == b"one"
        with pytest.raises(LookupError, match="no second piece"):
            next(received)


@and_trio
@pytest.mark.parametrize("where", ["before", "after"])
def test_an_exception_in_a_middleware(make_client: MakeClient, where: str) -> None:
    async def fail(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if where == "before":
            raise LookupError(where)
        await call_next(request)
        raise LookupError(where)

    app = Starlette(routes=[Route("/", hello)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=fail)])
    with pytest.raises(LookupError, match=where):
        make_client(app).get("/")


# -- background tasks


def test_background_tasks_are_done_when_the_request_returns(make_client: MakeClient) -> None:
    done: list[str] = []

    async def on_the_loop(name: str) -> None:
        await anyio.sleep(0)
        done.append(name)

    def register(request: Request) -> Response:
        tasks = BackgroundTasks()
        tasks.add_task(on_the_loop, "first")
        tasks.add_task(done.append, "second, in a thread")
        return PlainTextResponse("registered", background=tasks)

    app = Starlette(routes=[Route("/", register, methods=["POST"])])
    app.state.done = done
    client = make_client(app)
    assert client.post("/").text == "registered"
    assert client.call(lambda: app.state.done) == ["first", "second, in a thread"]


def test_what_a_background_task_raises(make_client: MakeClient) -> None:
    def fail() -> None:
        raise LookupError("in the background")

    def register(request: Request) -> Response:
        return PlainTextResponse("registered", background=BackgroundTask(fail))

    app = Starlette(routes=[Route("/", register)])
    with pytest.raises(LookupError, match="in the background"):
        make_client(app).get("/")
    # It came after the response, which is complete.
    assert make_client(app, raise_server_exceptions=False).get("/").text == "registered"


# -- files


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<h1>index</h1>")
    (site / "404.html").write_text("<h1>not there</h1>")
    (site / "tea.txt").write_text("0123456789")
    (site / "large.bin").write_bytes(bytes(range(256)) * 8192)
    return site


def test_static_files(make_client: MakeClient, site: Path) -> None:
    client = make_client(Starlette(routes=[Mount("/site", StaticFiles(directory=site, html=True))]))

    response = client.get("/site/")
    assert (response.text, response.headers["content-type"]) == ("<h1>index</h1>", "text/html; charset=utf-8")
    missing = client.get("/site/nowhere")
    assert (missing.status_code, missing.text) == (404, "<h1>not there</h1>")

    response = client.get("/site/tea.txt")
    assert (response.text, response.headers["content-length"]) == ("0123456789", "10")
    again = client.get("/site/tea.txt", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = client.head("/site/tea.txt")
    assert (head.headers["content-length"], head.content) == ("10", b"")
    assert client.post("/site/tea.txt").status_code == 405


def test_ranges_of_a_file(make_client: MakeClient, site: Path) -> None:
    client = make_client(Starlette(routes=[Mount("/site", StaticFiles(directory=site))]))
    response = client.get("/site/tea.txt", headers={"range": "bytes=2-4"})
    assert (response.status_code, response.text) == (206, "234")
    assert response.headers["content-range"] == "bytes 2-4/10"
    assert client.get("/site/tea.txt", headers={"range": "bytes=90-"}).status_code == 416


def test_a_file_response_is_sent_by_its_path(make_client: MakeClient, site: Path) -> None:
    sent: list[str] = []

    async def file(scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            sent.append(message["type"])
            await send(message)

        await FileResponse(site / "large.bin", filename="Größe.bin")(scope, receive, note)

    app = Starlette(routes=[Mount("/file", app=file)])
    app.state.sent = sent
    client = make_client(app)
    response = client.get("/file/")
    assert response.content == (site / "large.bin").read_bytes()
    assert response.headers["content-disposition"] == "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.bin"
    assert client.call(lambda: app.state.sent) == ["http.response.start", "http.response.pathsend"]


def test_a_file_that_is_removed_after_it_was_sent(make_client: MakeClient, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("for one reader")

    def download(request: Request) -> Response:
        return FileResponse(report, background=BackgroundTask(report.unlink))

    client = make_client(Starlette(routes=[Route("/", download)]))
    assert client.get("/").text == "for one reader"
    assert not report.exists()


def test_a_missing_file(make_client: MakeClient, tmp_path: Path) -> None:
    def download(request: Request) -> Response:
        return FileResponse(tmp_path / "nothing")

    with pytest.raises(RuntimeError, match="nothing does not exist"):
        make_client(Starlette(routes=[Route("/", download)])).get("/")


# -- middleware


def test_sessions(make_client: MakeClient) -> None:
    async def log_in(request: Request) -> Response:
        request.session["user"] = request.path_params["user"]
        return PlainTextResponse()

    def who(request: Request) -> Response:
        return JSONResponse(request.session)

    def log_out(request: Request) -> Response:
        request.session.clear()
        return RedirectResponse("/who", status_code=303)

    app = Starlette(
        routes=[Route("/in/{user}", log_in), Route("/who", who), Route("/out", log_out)],
        middleware=[Middleware(SessionMiddleware, secret_key="for the test")],
    )
    client = make_client(app)
    assert client.get("/who").json() == {}
    client.get("/in/ada").raise_for_status()
    assert "session" in client.cookies
    assert client.get("/who").json() == {"user": "ada"}
    assert make_client(app).get("/who").json() == {}
    assert client.get("/out").json() == {}
    assert "session" not in client.cookies


@and_trio
def test_sessions_in_a_websocket(make_client: MakeClient) -> None:
    async def log_in(request: Request) -> Response:
        request.session["user"] = "ada"
        return PlainTextResponse()

    async def who(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(websocket.session)
        await websocket.close()

    app = Starlette(
        routes=[Route("/in", log_in), WebSocketRoute("/who", who)],
        middleware=[Middleware(SessionMiddleware, secret_key="for the test")],
    )
    client = make_client(app)
    client.get("/in").raise_for_status()
    with client.websocket_connect("/who") as session:
        assert session.receive_json() == {"user": "ada"}


def test_a_secure_session_needs_https(make_client: MakeClient) -> None:
    async def count(request: Request) -> Response:
        request.session["count"] = request.session.get("count", 0) + 1
        return JSONResponse(request.session["count"])

    app = Starlette(
        routes=[Route("/", count)],
        middleware=[Middleware(SessionMiddleware, secret_key="for the test", https_only=True)],
    )
    plain = make_client(app)
    assert [plain.get("/").json() for _ in range(2)] == [1, 1]
    secure = make_client(app, base_url="https://testserver")
    assert [secure.get("/").json() for _ in range(2)] == [1, 2]


@and_trio
def test_gzip(make_client: MakeClient) -> None:
    text = "a line of text\n" * 1000

    async def pieces() -> AsyncIterator[str]:
        for _ in range(1000):
            yield "a line of text\n"

    async def whole(request: Request) -> Response:
        return PlainTextResponse(text)

    async def stream(request: Request) -> Response:
        return StreamingResponse(pieces(), media_type="text/plain")

    app = Starlette(routes=[Route("/whole", whole), Route("/stream", stream)], middleware=[Middleware(GZipMiddleware)])
    client = make_client(app)
    response = client.get("/whole")
    assert (response.text, response.headers["content-encoding"]) == (text, "gzip")
    assert int(response.headers["content-length"]) < len(text)
    assert client.get("/stream").text == text
    with client.get("/stream", stream=True) as response:
        assert set(response.iter_lines()) == {b"a line of text"}
    plain = client.get("/whole", headers={"accept-encoding": "identity"})
    assert (plain.text, "content-encoding" in plain.headers) == (text, False)


@and_trio
def test_cors(make_client: MakeClient) -> None:
    middleware = Middleware(CORSMiddleware, allow_origins=["https://shop.example"], allow_methods=["PUT"])
    client = make_client(Starlette(routes=[Route("/", hello)], middleware=[middleware]))

    asked = {"origin": "https://shop.example", "access-control-request-method": "PUT"}
    response = client.options("/", headers=asked)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    refused = client.options("/", headers=asked | {"origin": "https://other.example"})
    assert (refused.status_code, refused.text) == (400, "Disallowed CORS origin")

    response = client.get("/", headers={"origin": "https://shop.example"})
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in client.get("/").headers


def test_a_redirect_to_https(make_client: MakeClient) -> None:
    def scheme(request: Request) -> Response:
        return PlainTextResponse(str(request.url))

    app = Starlette(routes=[Route("/", scheme)], middleware=[Middleware(HTTPSRedirectMiddleware)])
    response = make_client(app).get("/", params={"q": "1"})
    assert response.text == response.url == "https://testserver/?q=1"
    assert [step.url for step in response.history] == ["http://testserver/?q=1"]


def test_trusted_hosts(make_client: MakeClient) -> None:
    app = Starlette(
        routes=[Route("/", hello)], middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["*.example"])]
    )
    client = make_client(app)
    assert client.get("http://shop.example/").text == "hello"
    assert client.get("/").status_code == 400
    assert client.get("/", headers={"host": "shop.example"}).text == "hello"


class Basic(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if "authorization" not in conn.headers:
            return None
        user, _, _ = b64decode(conn.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
        return AuthCredentials(["authenticated"]), SimpleUser(user)


def test_authentication(make_client: MakeClient) -> None:
    @requires("authenticated")
    async def whoami(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name)

    @requires("authenticated")
    async def whoami_there(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.display_name)
        await websocket.close()

    app = Starlette(
        routes=[Route("/", whoami), WebSocketRoute("/", whoami_there)],
        middleware=[Middleware(AuthenticationMiddleware, backend=Basic())],
    )
    client = make_client(app)
    assert client.get("/").status_code == 403
    assert client.get("/", auth=("ada", "secret")).text == "ada"
    with pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/")
    with client.websocket_connect("/", auth=("ada", "secret")) as session:
        assert session.receive_text() == "ada"


# -- routing


@and_trio
def test_under_a_root_path(make_client: MakeClient) -> None:
    async def links(request: Request) -> Response:
        return JSONResponse([str(request.url_for("links", page=2)), str(request.url), request.scope["root_path"]])

    api = Starlette(routes=[Route("/links/{page}", links, name="links")])
    client = make_client(api, root_path="/proxy")
    assert client.get("/proxy/links/1").json() == [
        "http://testserver/proxy/links/2",
        "http://testserver/proxy/links/1",
        "/proxy",
    ]

    mounted = make_client(Starlette(routes=[Mount("/api", api)]))
    assert mounted.get("/api/links/1").json()[0] == "http://testserver/api/links/2"
    both = make_client(Starlette(routes=[Mount("/api", api)]), root_path="/proxy")
    assert both.get("/proxy/api/links/1").json()[0] == "http://testserver/proxy/api/links/2"


def test_hosts(make_client: MakeClient) -> None:
    def shop(request: Request) -> Response:
        return PlainTextResponse(f"shop of {request.path_params['tenant']}")

    app = Starlette(routes=[Host("{tenant}.shop.example", Router([Route("/", shop)])), Route("/", hello)])
    client = make_client(app)
    assert client.get("http://ada.shop.example/").text == "shop of ada"
    assert client.get("/").text == "hello"


def test_a_slash_is_added_by_a_redirect(make_client: MakeClient) -> None:
    client = make_client(Starlette(routes=[Route("/items/", hello)]))
    response = client.get("/items", params={"page": 2})
    assert (response.text, response.url) == ("hello", "http://testserver/items/?page=2")


def test_paths_that_are_escaped(make_client: MakeClient) -> None:
    def echo(request: Request) -> Response:
        return JSONResponse([request.path_params["path"], request.scope["raw_path"].decode()])

    client = make_client(Starlette(routes=[Route("/{path:path}", echo)]))
    assert client.get("/Grüße/a b").json() == ["Grüße/a b", "/Gr%C3%BC%C3%9Fe/a%20b"]
    assert client.get("/a%2Fb").json() == ["a/b", "/a%2Fb"]


class Verbs(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("got")

    async def patch(self, request: Request) -> Response:
        return PlainTextResponse(f"patched {(await request.body()).decode()}")


@and_trio
def test_class_based_endpoints(make_client: MakeClient) -> None:
    client = make_client(Starlette(routes=[Route("/", Verbs)]))
    assert client.get("/").text == "got"
    assert client.patch("/", data="it").text == "patched it"
    refused = client.delete("/")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, PATCH")


# -- requests


@and_trio
def test_a_body_is_read_as_it_is_sent(make_client: MakeClient) -> None:
    async def sizes(request: Request) -> Response:
        return JSONResponse([len(piece) async for piece in request.stream()])

    def pieces() -> Iterator[bytes]:
        yield b"one"
        yield b"three"

    client = make_client(Starlette(routes=[Route("/", sizes, methods=["POST"])]))
    assert client.post("/", data=pieces()).json() == [3, 5, 0]


def test_repeated_headers_and_cookies_of_a_response(make_client: MakeClient) -> None:
    def answer(request: Request) -> Response:
        response = HTMLResponse("<p>Größe</p>")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", max_age=100)
        response.headers.append("link", "</style.css>")
        response.headers.append("link", "</script.js>")
        return response

    response = make_client(Starlette(routes=[Route("/", answer)])).get("/")
    assert dict(response.cookies) == {"a": "1", "b": "2"}
    assert response.headers["link"] == "</style.css>, </script.js>"
    assert response.raw.headers.getlist("link") == ["</style.css>", "</script.js>"]
    assert response.text == "<p>Größe</p>"


@pytest.mark.parametrize(
    ("domain", "kept"), [("testserver", True), ("testserver.local", True), ("localhost", False), ("example.com", False)]
)
def test_cookies_of_another_domain_are_not_kept(make_client: MakeClient, domain: str, kept: bool) -> None:
    def answer(request: Request) -> Response:
        response = PlainTextResponse()
        response.set_cookie("crumb", "1", domain=domain)
        return response

    client = make_client(Starlette(routes=[Route("/", answer)]))
    client.get("/")
    assert ("crumb" in client.cookies) is kept


def test_a_handler_in_a_thread_and_one_on_the_loop(make_client: MakeClient) -> None:
    def in_a_thread(request: Request) -> Response:
        return JSONResponse(threading.get_ident())

    async def on_the_loop(request: Request) -> Response:
        return JSONResponse(threading.get_ident())

    client = make_client(Starlette(routes=[Route("/thread", in_a_thread), Route("/loop", on_the_loop)]))
    assert client.get("/thread").json() != client.get("/loop").json() == client.call(threading.get_ident)


def test_a_test_client_in_a_handler(make_client: MakeClient) -> None:
    service = Starlette(routes=[Route("/", hello)])

    def ask_the_service(request: Request) -> Response:
        with isoclient.TestClient(service) as client:
            return PlainTextResponse(f"the service says {client.get('/').text}")

    client = make_client(Starlette(routes=[Route("/", ask_the_service)]))
    assert client.get("/").text == "the service says hello"


def test_a_client_that_leaves_while_a_response_is_streamed(make_client: MakeClient) -> None:
    # Starlette makes a ClientDisconnect of the OSError of send, and lets it out: that is no error of the app.
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await anyio.sleep(0)

    async def stream(request: Request) -> Response:
        return StreamingResponse(ticks())

    client = make_client(Starlette(routes=[Route("/ticks", stream), Route("/hello", hello)]))
    with client.get("/ticks", stream=True) as response:
        assert next(response.iter_content(4)) == b"tick"
    assert client.get("/hello").text == "hello"


@and_trio
def test_a_handler_that_asks_whether_the_client_has_left(make_client: MakeClient) -> None:
    async def wait(request: Request) -> Response:
        async def until_disconnected() -> AsyncIterator[str]:
            yield "waiting"
            while not await request.is_disconnected():
                await anyio.sleep(0)
            request.app.state.left.set()

        return StreamingResponse(until_disconnected())

    async def await_left(request: Request) -> Response:
        await request.app.state.left.wait()
        return PlainTextResponse("left")

    app = Starlette(routes=[Route("/", wait), Route("/left", await_left)])
    app.state.left = anyio.Event()
    client = make_client(app)
    with client.get("/", stream=True) as response:
        assert next(response.iter_content(None)) == b"waiting"
    assert client.get("/left").text == "left"


# -- lifespan


@and_trio
def test_a_task_group_of_the_lifespan(make_client: MakeClient) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        send, receive = anyio.create_memory_object_stream[str](10)

        async def work() -> None:
            async with receive:
                async for item in receive:
                    app.state.worked.append(item)
                    app.state.progress.set()

        async with send, anyio.create_task_group() as group:
            group.start_soon(work)
            yield {"queue": send}
            group.cancel_scope.cancel()

    async def enqueue(request: Request) -> Response:
        await request.state.queue.send("item")
        await request.app.state.progress.wait()
        return JSONResponse(request.app.state.worked)

    app = Starlette(routes=[Route("/", enqueue, methods=["POST"])], lifespan=lifespan)
    app.state.worked = []
    app.state.progress = anyio.Event()
    with make_client(app) as client:
        assert client.post("/").json() == ["item"]


@and_trio
def test_the_state_of_the_lifespan_is_copied_for_each_request(make_client: MakeClient) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"shared": [], "count": 0}

    async def count(request: Request) -> Response:
        request.state.count += 1
        request.state.shared.append(request.state.count)
        return JSONResponse([request.state.count, request.state.shared])

    with make_client(Starlette(routes=[Route("/", count)], lifespan=lifespan)) as client:
        assert client.get("/").json() == [1, [1]]
        assert client.get("/").json() == [1, [1, 1]]


# -- WebSockets


async def push(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text("tick")
        await anyio.sleep(0)


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


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


# -- isolation


def test_state_is_apart_only_where_the_app_is_isolated(make_client: MakeClient, cell: Cell) -> None:
    visits: list[int] = []

    def visit(request: Request) -> Response:
        visits.append(1)
        return JSONResponse(len(visits))

    client = make_client(Starlette(routes=[Route("/", visit)]))
    assert [client.get("/").json() for _ in range(2)] == [1, 2]
    assert len(visits) == (0 if cell.isolated else 2)


def test_requests_are_concurrent(make_client: MakeClient) -> None:
    arrived: list[int] = []
    all_there = asyncio.Event()

    async def meet(request: Request) -> Response:
        arrived.append(1)
        if len(arrived) == 4:
            all_there.set()
        await all_there.wait()
        return JSONResponse("met")

    client = make_client(Starlette(routes=[Route("/", meet)]))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: client.get("/").json(), range(4))) == ["met"] * 4
