"""What Starlette offers to apps and to their tests, beyond the contract."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Host, Mount, Route, Router

import isoclient
from tests.frameworks.starlette_parts import hello

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# Only for handlers that are coroutines: trio keeps the thread of another kind for ten seconds.
and_trio = pytest.mark.backends("asyncio", "trio")


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


# -- isolation


visits: list[int] = []


def test_state_is_apart_only_where_the_app_is_isolated(make_client: MakeClient, cell: Cell) -> None:
    visits.clear()

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
