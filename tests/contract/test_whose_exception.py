"""The app's exception is the app's, whatever its class: those that requests and urllib3 act upon are no exception."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import pickle
import shutil
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
import requests
import urllib3.exceptions

from isoclient import AppProtocolError, Response

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]

ERRORS: Final[dict[str, Callable[[], BaseException]]] = {
    "RuntimeError": lambda: RuntimeError("the app's"),
    "AttributeError": lambda: AttributeError("the app's"),
    "OSError": lambda: ConnectionResetError("the app's"),
    "TimeoutError": lambda: TimeoutError("the app's"),
    "SSLError": lambda: ssl.SSLError("the app's"),
    "HTTPException": lambda: http.client.IncompleteRead(b"the app's", 5),
    "JSONDecodeError": lambda: json.JSONDecodeError("the app's", "{", 1),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "the app's"),
    "urllib3.ProtocolError": lambda: urllib3.exceptions.ProtocolError("the app's"),
    "urllib3.IncompleteRead": lambda: urllib3.exceptions.IncompleteRead(1, 2),
    "urllib3.DecodeError": lambda: urllib3.exceptions.DecodeError("the app's"),
    "urllib3.SSLError": lambda: urllib3.exceptions.SSLError("the app's"),
    "urllib3.ReadTimeoutError": lambda: urllib3.exceptions.ReadTimeoutError(cast(Any, None), "/", "the app's"),
    "requests.ChunkedEncodingError": lambda: requests.exceptions.ChunkedEncodingError("the app's"),
    "requests.ContentDecodingError": lambda: requests.exceptions.ContentDecodingError("the app's"),
    "requests.StreamConsumedError": lambda: requests.exceptions.StreamConsumedError("the app's"),
    "requests.JSONDecodeError": lambda: requests.exceptions.JSONDecodeError("the app's", "{", 1),
    "requests.ReadTimeout": lambda: requests.ReadTimeout("the app's"),
}

READERS: Final[dict[str, Callable[[Response], object]]] = {
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "json": lambda response: response.json(),
    "iter_content": lambda response: list(response.iter_content(None)),
    "iter_content, small": lambda response: list(response.iter_content(1)),
    "iter_content, unicode": lambda response: list(response.iter_content(7, decode_unicode=True)),
    "iter_lines": lambda response: list(response.iter_lines()),
    "pickle": pickle.dumps,
    "raw.read": lambda response: response.raw.read(),
    "raw.read, decoded": lambda response: response.raw.read(decode_content=True),
    "raw.read, in parts": lambda response: [response.raw.read(3), response.raw.read(100)],
    "raw.read1": lambda response: [response.raw.read1(), response.raw.read1()],
    "raw.readinto": lambda response: response.raw.readinto(bytearray(100)),
    "raw.data": lambda response: response.raw.data,
    "raw.json": lambda response: response.raw.json(),
    "raw.stream": lambda response: list(response.raw.stream()),
    "raw.drain_conn": lambda response: response.raw.drain_conn(),
    "raw, line by line": lambda response: list(response.raw),
    "a copy of raw": lambda response: shutil.copyfileobj(response.raw, io.BytesIO()),
    "raw as text": lambda response: io.TextIOWrapper(cast(Any, response.raw)).read(),
    "raw, buffered": lambda response: io.BufferedReader(cast(Any, response.raw)).read(),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises the error that the path names: before its response, amid it, or behind it; a redirect, if it is asked."""
    _, where, status, name = scope["path"].split("/")
    headers = [(b"location", b"/start/200/none"), (b"content-type", b"application/json")]
    if where == "start":
        await fail(name, send)
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b"{}", "more_body": where == "amid"})
    await fail(name, send)


async def fail(name: str, send: Send) -> None:
    if name != "none":
        raise ERRORS[name]()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


def check(error: BaseException, name: str) -> None:
    """It is the one that the app has raised, and nothing says that anything else went wrong before."""
    wanted = ERRORS[name]()
    assert type(error) is type(wanted)
    assert str(error) == str(wanted)
    assert (error.__cause__, error.__context__) == (None, None)


def test_of_a_whole_response(make_client: MakeClient) -> None:
    client = make_client(app)
    for name in ERRORS:
        for where, status in itertools.product(("start", "amid", "behind"), (200, 302)):
            with pytest.raises(type(ERRORS[name]())) as caught:
                client.get(f"/{where}/{status}/{name}")
            check(caught.value, name)


@pytest.mark.parametrize("where", ["amid", "behind"])
def test_of_a_streamed_response(make_client: MakeClient, where: str) -> None:
    client = make_client(app)
    for name in ERRORS:
        for reader, read in READERS.items():
            with client.get(f"/{where}/200/{name}", stream=True) as response:
                with pytest.raises(type(ERRORS[name]())) as caught:
                    pytest.fail(f"{reader} gave {read(response)!r}")
                check(caught.value, name)


def test_of_a_streamed_redirect(make_client: MakeClient) -> None:
    client = make_client(app)
    for name in ERRORS:
        for where, followed in itertools.product(("start", "amid", "behind"), (True, False)):
            with pytest.raises(type(ERRORS[name]())) as caught:
                client.get(f"/{where}/302/{name}", stream=True, allow_redirects=followed)
            check(caught.value, name)


def test_each_further_read_tells_it_again(make_client: MakeClient) -> None:
    with make_client(app).get("/amid/200/RuntimeError", stream=True) as response:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="the app's"):
                response.content  # noqa: B018
            with pytest.raises(RuntimeError, match="the app's"):
                response.raw.read()


def test_what_is_no_exception_of_the_apps_stays_one_of_requests(make_client: MakeClient) -> None:
    async def lying(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip"), (b"content-type", b"application/json"), (b"location", b"/end")]
        status = 302 if scope["path"] == "/redirect" else 200
        if scope["path"] in ("/redirect", "/coding"):
            await send({"type": "http.response.start", "status": status, "headers": headers})
        else:
            await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b"neither gzip nor json"})

    client = make_client(lying)
    with client.get("/coding", stream=True) as response, pytest.raises(requests.exceptions.ContentDecodingError):
        list(response.iter_content(None))
    with client.get("/redirect", stream=True) as response:
        assert response.url == "http://testserver/end"
        with pytest.raises(requests.exceptions.JSONDecodeError):
            response.json()


def test_a_breach_amid_a_streamed_redirect(make_client: MakeClient) -> None:
    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 302, "headers": [(b"location", b"/")]})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    with pytest.raises(AppProtocolError, match="without the last"):  # which is a RuntimeError
        make_client(confused).get("/", stream=True)
