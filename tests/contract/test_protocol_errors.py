"""The ASGI rules, kept as a server keeps them: who breaks them is told so at its ``send``. Never a hang."""

from __future__ import annotations

from linecache import getline
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import requests

from isoclient import AppProtocolError, WebSocketDenialResponse

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"x"}
MORE = {"type": "http.response.body", "body": b"x", "more_body": True}
ACCEPT = {"type": "websocket.accept"}


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([BODY], ["http.response.body", "no response yet"]),
        ([START, START], ["http.response.start", "response started"]),
        ([START, BODY, BODY], ["http.response.body", "response complete"]),
        ([START, BODY, START], ["http.response.start", "response complete"]),
        ([START, MORE, START], ["http.response.start", "body under way"]),
        ([{"type": "http.response.begin", "status": 200}], ["http.response.begin", "no response yet"]),
        ([{"type": "http.request"}], ["http.request", "no response yet"]),
        ([ACCEPT], ["websocket.accept", "no response yet"]),
        ([{"type": "lifespan.startup.complete"}], ["lifespan.startup.complete", "no response yet"]),
        ([{"type": "http.response.start"}], ["http.response.start", "'status'", "missing"]),
        ([{"type": "http.response.start", "status": "200"}], ["http.response.start", "'status'", "str"]),
        ([{"type": "http.response.start", "status": None}], ["http.response.start", "'status'"]),
        ([{"type": "http.response.start", "status": 42}], ["http.response.start", "'status'", "42"]),
        ([{**START, "headers": {"a": "b"}}], ["http.response.start", "'headers'"]),
        ([{**START, "headers": [("a", b"b")]}], ["http.response.start", "'headers'", "str"]),
        ([{**START, "headers": [(b"a", "b")]}], ["http.response.start", "'headers'", "str"]),
        ([{**START, "headers": [(b"a", 1)]}], ["http.response.start", "'headers'", "int"]),
        ([{**START, "headers": [(b"a",)]}], ["http.response.start", "'headers'"]),
        ([{**START, "headers": [(b"a\r\nb", b"c")]}], ["http.response.start", "'headers'"]),
        ([{**START, "headers": [(b"a", b"b\r\nc: d")]}], ["http.response.start", "'headers'"]),
        ([START, {"type": "http.response.body", "body": "text"}], ["http.response.body", "'body'", "str"]),
        ([START, {"type": "http.response.body", "body": None}], ["http.response.body", "'body'", "None"]),
        ([START, {**BODY, "more_body": "yes"}], ["http.response.body", "'more_body'"]),
        ([{}], ["'type'", "no response yet"]),
        ([{"type": 5}], ["'type'", "int"]),
        ([None], ["not a mapping"]),
        (["http.response.start"], ["not a mapping"]),
        ([START, BODY, {"type": "http.response.trailers", "headers": []}], ["http.response.trailers"]),
        ([{**START, "trailers": True}, BODY, BODY], ["http.response.body", "trailers expected"]),
        ([START, {"type": "http.response.pathsend"}], ["http.response.pathsend", "'path'", "missing"]),
        ([START, MORE, {"type": "http.response.pathsend", "path": "/x"}], ["http.response.pathsend"]),
        ([{"type": "http.response.push", "path": "/x"}], ["http.response.push", "scope['extensions']"]),
    ],
)
def test_a_message_that_may_not_be_sent(make_client: MakeClient, messages: list[Any], words: list[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages[:-1]:
            await send(message)
        await send(messages[-1])  # this is the one

    with pytest.raises(AppProtocolError) as caught:
        make_client(app).get("/")
    for word in words:
        assert word in str(caught.value)
    [app_frame] = [frame for frame in caught.traceback if frame.name == "app"]
    assert "this is the one" in getline(str(app_frame.path), app_frame.lineno + 1)


def test_it_is_raised_at_the_apps_send(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.body", "body": b"too early"})
        except RuntimeError as error:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(error).encode()})

    response = make_client(app).get("/")
    assert response.text == (
        "http.response.body was sent before http.response.start (state: no response yet); "
        "send http.response.start first"
    )


@pytest.mark.modes("fork", "thread")
def test_without_raising_a_breach_is_a_500(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": "200"})

    assert make_client(app, raise_server_exceptions=False).get("/").status_code == 500


def test_an_app_that_returns_without_a_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    client = make_client(app)
    with pytest.raises(AppProtocolError, match=r"without sending a response, from .*GET /nothing"):
        client.get("/nothing")
    with pytest.raises(AppProtocolError, match="without sending a response"):
        client.get("/", stream=True)
    assert make_client(app, raise_server_exceptions=False).get("/").status_code == 500


@pytest.mark.modes("fork", "thread")
def test_an_app_that_returns_with_half_a_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "trailers": scope["path"] == "/trailers"})
        if scope["path"] == "/more":
            await send(MORE)
        elif scope["path"] == "/trailers":
            await send(BODY)

    client = make_client(app)
    with pytest.raises(AppProtocolError, match="without a body"):
        client.get("/")
    with pytest.raises(AppProtocolError, match="last"):
        client.get("/more")
    with pytest.raises(AppProtocolError, match="trailers"):
        client.get("/trailers")
    quiet = make_client(app, raise_server_exceptions=False)
    assert (quiet.get("/").status_code, quiet.get("/").content) == (200, b"")
    assert (quiet.get("/more").status_code, quiet.get("/more").content) == (200, b"x")


@pytest.mark.modes("fork", "thread")
def test_the_same_with_stream(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/none":
            return
        await send(START)
        if scope["path"] == "/more":
            await send(MORE)

    client = make_client(app)
    with client.get("/more", stream=True) as response:
        pieces = response.iter_content(None)
        assert next(pieces) == b"x"
        with pytest.raises(AppProtocolError, match="last"):
            next(pieces)
    quiet = make_client(app, raise_server_exceptions=False)
    assert quiet.get("/none", stream=True).status_code == 500
    with quiet.get("/more", stream=True) as response:
        pieces = response.iter_content(None)
        assert next(pieces) == b"x"
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            next(pieces)


@pytest.mark.modes("fork", "thread")
def test_an_app_that_hides_its_breach_has_sent_no_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(BODY)
        except AppProtocolError:
            return

    with pytest.raises(AppProtocolError, match="without sending a response"):
        make_client(app).get("/")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"type": "websocket.send", "text": "x"}], ["websocket.send", "before websocket.accept"]),
        ([ACCEPT, ACCEPT], ["websocket.accept", "connection accepted"]),
        ([ACCEPT, {"type": "websocket.send"}], ["websocket.send", "'text'", "'bytes'"]),
        ([ACCEPT, {"type": "websocket.send", "text": b"x"}], ["websocket.send", "'text'", "bytes"]),
        ([ACCEPT, {"type": "websocket.send", "bytes": "x"}], ["websocket.send", "'bytes'", "str"]),
        ([ACCEPT, {"type": "websocket.send", "text": "x", "bytes": b"x"}], ["websocket.send", "both"]),
        ([ACCEPT, {"type": "websocket.close", "code": "1000"}], ["websocket.close", "'code'", "str"]),
        ([ACCEPT, {"type": "websocket.close", "code": 1000, "reason": 5}], ["websocket.close", "'reason'", "int"]),
        ([ACCEPT, {"type": "websocket.close"}, {"type": "websocket.send", "text": "x"}], ["closed by the app"]),
        ([{"type": "websocket.accept", "subprotocol": 5}], ["websocket.accept", "'subprotocol'", "int"]),
        ([{"type": "websocket.accept", "headers": [("a", "b")]}], ["websocket.accept", "'headers'", "str"]),
        ([ACCEPT, {"type": "websocket.http.response.start", "status": 403}], ["websocket.http.response.start"]),
        ([START], ["http.response.start", "websocket"]),
    ],
)
def test_the_same_for_websockets(make_client: MakeClient, messages: list[Any], words: list[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages[:-1]:
            await send(message)
        await send(messages[-1])

    with pytest.raises(AppProtocolError) as caught, make_client(app).websocket_connect("/") as websocket:
        websocket.receive_text()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_denial_that_is_not_finished(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})
        if scope["path"] == "/more":
            await send({"type": "websocket.http.response.body", "body": b"x", "more_body": True})

    client = make_client(app)
    for path in ("/", "/more"):
        with pytest.raises(AppProtocolError, match=r"websocket\.http\.response"):
            client.websocket_connect(path)
    with pytest.raises(WebSocketDenialResponse):
        make_client(app, raise_server_exceptions=False).websocket_connect("/")


@pytest.mark.modes("fork", "thread")
def test_it_breaks_no_other_request(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        if scope["path"] == "/bad":
            await send({"type": "http.response.body", "body": object()})
        await send(BODY)

    client = make_client(app)
    with client.get("/", stream=True) as response:
        with pytest.raises(AppProtocolError):
            client.get("/bad")
        assert response.content == b"x"
    assert client.get("/").content == b"x"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_values_that_lie(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from unittest.mock import MagicMock

        if scope["path"] == "/status":
            await send({"type": "http.response.start", "status": MagicMock()})
        elif scope["path"] == "/message":
            await send(MagicMock())
        else:
            deep: list[Any] = []
            for _ in range(10_000):
                deep = [deep]
            await send({**START, "headers": deep})

    client = make_client(app)
    for path in ("/status", "/message", "/deep"):
        with pytest.raises(AppProtocolError):
            client.get(path)


@pytest.mark.modes("fork", "thread")
def test_two_tasks_that_send_at_once(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        refused: list[BaseException] = []

        async def finish() -> None:
            try:
                await send(BODY)
            except AppProtocolError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(finish)
            tasks.start_soon(finish)
        assert len(refused) == 1

    assert make_client(app).get("/").content == b"x"


# -- the length of a body


def sized(length: object, *pieces: bytes, status: int = 200) -> list[Any]:
    """A response of so many pieces, whose header says so many bytes."""
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-length", str(length).encode())]}
    bodies = [{"type": "http.response.body", "body": piece, "more_body": True} for piece in pieces]
    return [start, *bodies[:-1], {**bodies[-1], "more_body": False}]


def sends(messages: list[Any]) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (sized(3, b"long"), ["http.response.body", "1 bytes longer", "content-length of 3"]),
        (sized(5, b"long"), ["http.response.body", "1 bytes shorter", "content-length of 5"]),
        (sized(3, b"lo", b"ng", b""), ["http.response.body", "1 bytes longer"]),
        (sized(5, b"lo", b"ng", b""), ["http.response.body", "1 bytes shorter"]),
        (sized(0, b"long"), ["4 bytes longer"]),
        (sized("three", b"x"), ["http.response.start", "content-length b'three'", "b'42'"]),
        (sized("-1", b"x"), ["http.response.start", "content-length b'-1'"]),
        (sized("9" * 5000, b"x"), ["http.response.start", "content-length b'999"]),
        (sized("1, 2", b"x"), ["http.response.start", "content-lengths that differ"]),
    ],
)
def test_a_body_is_as_long_as_its_header_says(make_client: MakeClient, messages: list[Any], words: list[str]) -> None:
    client = make_client(sends(messages))
    for stream in (False, True):
        with pytest.raises(AppProtocolError) as caught:
            client.get("/", stream=stream).content  # noqa: B018
        assert all(word in str(caught.value) for word in words)


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_body_that_is_too_long_is_refused_where_it_is_sent(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        start, *bodies = sized(4, b"go", b"long", b"od")
        await send(start)
        await send(bodies[0])
        with pytest.raises(AppProtocolError):
            await send(bodies[1])
        await send(bodies[2])

    assert make_client(app).get("/").content == b"good"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_response_to_head_has_the_length_of_another(make_client: MakeClient) -> None:
    for pieces in ((b"",), (b"long",), (b"lo", b"nger than that")):
        response = make_client(sends(sized(4, *pieces))).head("/")
        assert (response.headers["content-length"], response.content) == ("4", b"")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("status", [103, 204, 304])
def test_some_have_no_body_on_the_wire(make_client: MakeClient, status: int) -> None:
    for messages in (sized(4, b"null", status=status), sized(4, b"", status=status), sized(0, b"x", status=status)):
        client = make_client(sends(messages))
        assert (client.get("/").status_code, client.get("/").content) == (status, b"")
        with client.get("/", stream=True) as response:
            assert list(response.iter_content(None)) == []


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_file_is_as_long_as_its_header_says(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        length = scope["path"][1:].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        try:
            await send({"type": "http.response.pathsend", "path": str(file)})
        except AppProtocolError:
            if scope["query_string"] != b"quiet":
                raise

    client = make_client(app)
    assert client.get("/5").content == b"12345"
    assert client.head("/7").content == b""
    for length, off in (("4", "1 bytes longer"), ("7", "2 bytes shorter")):
        with pytest.raises(AppProtocolError, match=rf"http\.response\.pathsend: the file at 'path' .* {off}"):
            client.get(f"/{length}")
        with pytest.raises(AppProtocolError, match=r"had failed"):
            client.get(f"/{length}?quiet")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_so_is_the_body_of_a_denial(make_client: MakeClient) -> None:
    messages = [{**message, "type": f"websocket.{message['type']}"} for message in sized(3, b"long", status=403)]
    with pytest.raises(AppProtocolError, match=r"websocket\.http\.response\.body.* 1 bytes longer"):
        make_client(sends(messages)).websocket_connect("/")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_what_is_sent_in_chunks_has_any_length(make_client: MakeClient) -> None:
    messages = sized(3, b"longer")
    messages[0]["headers"].append((b"transfer-encoding", b"chunked"))
    assert make_client(sends(messages)).get("/").content == b"longer"
