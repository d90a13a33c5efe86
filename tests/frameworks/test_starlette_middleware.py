"""The middleware that comes with Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.frameworks.starlette_parts import Basic, hello

if TYPE_CHECKING:
    from tests.conftest import MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# Only for handlers that are coroutines: trio keeps the thread of another kind for ten seconds.
and_trio = pytest.mark.backends("asyncio", "trio")


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
