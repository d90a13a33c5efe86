"""What Starlette answers with: templates, pages for errors, files, and background tasks behind it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from tests.frameworks.starlette_parts import hello

if TYPE_CHECKING:
    from tests.conftest import MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# Only for handlers that are coroutines: trio keeps the thread of another kind for ten seconds.
and_trio = pytest.mark.backends("asyncio", "trio")


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
