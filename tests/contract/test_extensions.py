"""The extensions of ASGI that are served: debug, trailers, path send, early hints, and the denial of a WebSocket."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import pytest
import requests

from isoclient import AppProtocolError, Response, StandIn, WebSocketDenialResponse, WebSocketDisconnect

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


# -- debug


@pytest.mark.backends("asyncio")
def test_starlettes_templates(make_client: MakeClient, cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<h1>{{ user.name }}</h1>{% for item in items %}<p>{{ item }}</p>{% endfor %}")
    directory = str(tmp_path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request
        from starlette.templating import Jinja2Templates

        templates = Jinja2Templates(directory=directory)
        context = {"user": {"name": "Ada"}, "items": [1, 2], "guard": threading.Lock()}
        response = templates.TemplateResponse(Request(scope), "page.html", context)
        await response(scope, receive, send)

    client = make_client(app)
    for response in (client.get("/"), client.get("/", stream=True)):
        assert response.text == "<h1>Ada</h1><p>1</p><p>2</p>"
        assert response.template.name == "page.html"
        assert response.context["user"] == {"name": "Ada"}
        assert response.context["items"] == [1, 2]
        assert "lock" in repr(response.context["guard"])
        assert isinstance(response.context["guard"], StandIn) is cell.isolated
        assert "request" in response.context
        response.close()


@pytest.mark.modes("fork", "forkserver", "thread")
def test_debug_without_a_framework(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        class Template:
            def __init__(self) -> None:
                self.name = "page.html"
                self.lock = threading.Lock()

            def __repr__(self) -> str:
                return "<the template>"

        if scope["path"] == "/debug":
            info = {"template": Template(), "context": {"number": 5, "lock": threading.Lock()}}
            await send({"type": "http.response.debug", "info": info})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    client = make_client(app)
    response = client.get("/debug")
    assert response.template.name == "page.html"
    assert repr(response.template) == "<the template>"
    assert response.context["number"] == 5
    plain = client.get("/")
    assert plain.template is None
    assert plain.context is None


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_the_message_that_older_frameworks_send_of_a_template(make_client: MakeClient, cell: Cell) -> None:
    class Template:
        name = "page.html"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.template" in scope["extensions"]
        context = {"number": 5, "lock": threading.Lock()}
        await send({"type": "http.response.template", "template": Template(), "context": context})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    client = make_client(app)
    for response in (client.get("/"), client.get("/", stream=True)):
        assert response.template.name == "page.html"
        assert response.context["number"] == 5
        assert isinstance(response.context["lock"], StandIn) is cell.isolated
        response.close()


# -- those that a middleware adds


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("copied", [False, True])
def test_messages_of_an_extension_that_a_middleware_adds_are_ignored(make_client: MakeClient, copied: bool) -> None:
    pushed = {"type": "http.response.push", "path": "/style.css", "headers": []}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "own.greeting.hello", "text": object()})
            await send({"type": "websocket.accept"})
            await send({"type": "own.greeting"})
            await send({"type": "websocket.send", "text": "accepted"})
        else:
            await send(pushed)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "own.greeting.hello", "text": object()})
            await send({"type": "http.response.body", "body": b"page"})
            await send(pushed)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] |= {"http.response.push": {}, "own.greeting": {}, 5: {}}
        await app(dict(scope) if copied else scope, receive, send)

    client = make_client(middleware)
    assert client.get("/").text == "page"
    with client.get("/", stream=True) as response:
        assert response.content == b"page"
    with client.websocket_connect("/") as websocket:
        assert websocket.receive_text() == "accepted"


@pytest.mark.modes("thread")
@pytest.mark.backends("asyncio")
def test_messages_of_other_extensions_are_still_errors(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] |= {"http.response.push": {}, "http.response": {}, "": {}}
        if scope["path"] == "/unknown":
            del scope["extensions"]["http.response"]
            await send({"type": "http.response.pushes"})
        if scope["path"] == "/extensions":
            scope["extensions"] = None
            await send({"type": "http.response.push"})
        await send({"type": "http.response.body"})  # before its start, which a strange extension makes no better

    client = make_client(app)
    for path, text in (("/unknown", "pushes"), ("/extensions", "push"), ("/", "before http.response.start")):
        with pytest.raises(AppProtocolError, match=text):
            client.get(path)


# -- headers as they were sent


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_transfer_encoding_is_kept(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
        await send({"type": "http.response.body", "body": b"some ", "more_body": True})
        await send({"type": "http.response.body", "body": b"body"})

    client = make_client(app)
    for response in (client.get("/"), client.get("/", stream=True)):
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.content == b"some body"
    with client.stream("GET", "/") as response:
        assert b"".join(response.iter_raw()) == b"some body"
    with client.get("/", stream=True) as response:
        assert response.raw.read() == b"some body"


# -- trailers


@pytest.mark.modes("fork", "thread")
def test_trailers(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.trailers" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"some ", "more_body": True})
        await send({"type": "http.response.body", "body": b"body"})
        first = {"type": "http.response.trailers", "headers": [(b"X-Checksum", b"42")], "more_trailers": True}
        await send(first)
        await send({"type": "http.response.trailers", "headers": [(b"x-late", b"\xfc")]})

    client = make_client(app)
    response = client.get("/")
    assert response.text == "some body"
    assert dict(response.trailers) == {"x-checksum": "42", "x-late": "ü"}
    assert response.trailers["X-CHECKSUM"] == "42"
    assert "x-checksum" not in response.headers
    with client.get("/", stream=True) as response:
        assert dict(response.trailers) == {}
        assert response.content == b"some body"
        assert dict(response.trailers) == {"x-checksum": "42", "x-late": "ü"}
    with client.get("/", stream=True) as response:
        assert b"".join(response.iter_content(3)) == b"some body"
        assert dict(response.trailers) == {"x-checksum": "42", "x-late": "ü"}


# -- path send


@pytest.mark.backends("asyncio", "trio")
def test_a_file_that_is_removed_afterwards(make_client: MakeClient, tmp_path: Path) -> None:
    path = tmp_path / "report"
    content = bytes(range(256)) * 8000
    path.write_bytes(content)
    name = str(path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.pathsend", "path": name})
        os.remove(name)  # a background task
        await anyio.lowlevel.checkpoint()

    client = make_client(app)
    assert client.get("/").content == content
    assert not path.exists()
    path.write_bytes(content)
    with client.get("/", stream=True) as response:
        assert response.headers["x-a"] == "1"
        assert response.content == content
    assert not path.exists()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_files_of_note(make_client: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "some").write_text("some")
    directory = str(tmp_path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "trailers": scope["path"] == "/some"})
        await send({"type": "http.response.pathsend", "path": directory + scope["path"]})
        if scope["path"] == "/some":
            await send({"type": "http.response.trailers", "headers": [(b"x-a", b"1")]})

    client = make_client(app)
    assert client.get("/empty").content == b""
    some = client.get("/some")
    assert (some.content, dict(some.trailers)) == (b"some", {"x-a": "1"})
    assert client.head("/some").content == b""
    with pytest.raises(FileNotFoundError) as caught:
        client.get("/missing")
    assert caught.value.filename == f"{directory}/missing"
    with client.get("/some", stream=True) as response:
        assert next(response.iter_content(2)) == b"so"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_relative_path_is_of_the_apps_directory(
    make_client: MakeClient, cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pic.txt").write_text(f"a picture from {name}")
    there = str(tmp_path / "there")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import FileResponse

        if scope["path"] == "/there":
            os.chdir(there)
        await FileResponse("pic.txt")(scope, receive, send)

    client = make_client(app)
    monkeypatch.chdir(tmp_path / "here")
    assert client.get("/here").text == "a picture from here"
    assert client.get("/there").text == "a picture from there"
    assert Path.cwd().name == ("here" if cell.isolated else "there")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_starlettes_file_response(make_client: MakeClient, tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    name = str(path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.background import BackgroundTask
        from starlette.responses import FileResponse

        await FileResponse(name, background=BackgroundTask(os.remove, name))(scope, receive, send)

    path.write_text("the report")
    response = make_client(app).get("/")
    assert response.text == "the report"
    assert response.headers["content-length"] == "10"
    assert not path.exists()


# -- early hints


@pytest.mark.modes("fork", "thread")
def test_early_hints(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.early_hint" in scope["extensions"]
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"page"})

    client = make_client(app)
    expected = ["</a.css>; rel=preload", "</b.js>; rel=preload"]
    assert client.get("/").early_hints == expected
    with client.get("/", stream=True) as response:
        assert response.early_hints == expected
        assert response.content == b"page"


# -- the denial of a WebSocket


def test_a_denial(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert scope["extensions"] == {"websocket.http.response": {}}
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"x-a", b"1")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b'{"why":', "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b' "no"}'})

    client = make_client(app)
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect("/private?x=1"):
        pytest.fail("the block must not run")
    denial: Any = caught.value
    assert isinstance(denial, WebSocketDisconnect)
    assert isinstance(denial, requests.Response)
    assert denial.status_code == 401
    assert denial.headers["x-a"] == "1"
    assert denial.content == b'{"why": "no"}'
    assert denial.json() == {"why": "no"}
    assert denial.cookies["a"] == "1"
    assert denial.url == "http://testserver/private?x=1"
    assert denial.reason == "Unauthorized"
    assert not denial.ok
    assert "401" in str(denial)
    with pytest.raises(requests.HTTPError):
        denial.raise_for_status()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_denial_and_an_app_that_raises_then(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 500})
        await send({"type": "websocket.http.response.body", "body": b"sorry"})
        raise LookupError("after the denial")

    with pytest.raises(LookupError, match="after the denial"):
        make_client(app).websocket_connect("/")
    with pytest.raises(WebSocketDenialResponse) as caught:
        make_client(app, raise_server_exceptions=False).websocket_connect("/")
    assert caught.value.content == b"sorry"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_denial_is_caught_as_starlettes(make_client: MakeClient) -> None:
    import starlette.websockets

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may ask for another version of its own client
        import starlette.testclient

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"set-cookie", b"a=1")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    with pytest.raises(starlette.testclient.WebSocketDenialResponse) as caught:
        make_client(app).websocket_connect("/private")
    denial: Any = caught.value
    assert isinstance(denial, WebSocketDenialResponse)
    assert isinstance(denial, requests.Response)
    assert isinstance(denial, starlette.websockets.WebSocketDisconnect)
    assert (denial.status_code, denial.text, denial.content, denial.encoding) == (401, "no", b"no", "utf-8")
    assert (denial.url, denial.request.method) == ("http://testserver/private", "GET")
    assert (denial.reason, denial.reason_phrase, denial.is_client_error) == ("Unauthorized", "Unauthorized", True)
    assert (denial.cookies["a"], denial.code, len(denial.history), len(denial.trailers)) == ("1", 1006, 0, 0)
    assert denial.elapsed is not None
    assert str(denial) == "the app denied the WebSocket with HTTP 401 Unauthorized"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_denial_with_a_big_body(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})
        for _ in range(50):
            await send({"type": "websocket.http.response.body", "body": bytes(100_000), "more_body": True})
        await send({"type": "websocket.http.response.body"})

    with pytest.raises(WebSocketDenialResponse) as caught:
        make_client(app).websocket_connect("/")
    assert len(caught.value.content) == 5_000_000


# -- all of it, put aside


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_pickle_of_the_response_keeps_what_it_can(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        info = {"template": threading.Lock(), "context": {"number": 5, "lock": threading.Lock()}}
        await send({"type": "http.response.debug", "info": info})
        await send({"type": "http.response.early_hint", "links": [b"</style.css>"]})
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"42")]})

    client = make_client(app)
    for stream in (False, True):
        kept = pickle.loads(pickle.dumps(client.get("/", stream=stream)))
        assert type(kept) is Response
        assert (kept.content, kept.trailers["X-Checksum"], kept.early_hints) == (b"body", "42", ["</style.css>"])
        assert kept.context["number"] == 5
    plain = pickle.loads(pickle.dumps(make_client(bare).get("/")))
    assert (plain.template, plain.context, dict(plain.trailers), plain.early_hints) == (None, None, {}, [])


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})
