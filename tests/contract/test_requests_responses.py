"""What comes back is a response of requests, and all that it can do works."""

from __future__ import annotations

import datetime
import gzip
import io
import zlib
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
import requests.auth

from isoclient import Response
from tests.contract.mirror_app import mirror, respond

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- what comes back


def test_the_response_is_one_of_requests(make_client: MakeClient) -> None:
    client = make_client(mirror)
    assert isinstance(client, requests.Session)
    response = client.get("/")
    assert isinstance(response, requests.Response)
    assert isinstance(response, Response)
    assert response.ok
    assert bool(response) is True
    assert response.request.method == "GET"
    assert response.request.url == "http://testserver/"
    assert response.connection is client.get_adapter("http://testserver/")
    assert isinstance(response.elapsed, datetime.timedelta)
    assert response.elapsed > datetime.timedelta(0)
    assert response.history == []
    assert response.apparent_encoding is not None
    assert list(response)
    import pickle

    assert pickle.loads(pickle.dumps(response)).json() == response.json()


def test_raise_for_status(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"", status=int(scope["path"][1:]))

    client = make_client(app)
    client.get("/204").raise_for_status()
    with pytest.raises(requests.HTTPError, match=r"404 Client Error: Not Found for url: http://testserver/404"):
        client.get("/404").raise_for_status()
    with pytest.raises(requests.HTTPError, match=r"503 Server Error: Service Unavailable") as caught:
        client.get("/503").raise_for_status()
    assert caught.value.response.status_code == 503
    assert not client.get("/418").ok
    assert client.get("/599").reason == ""


def test_hooks(make_client: MakeClient) -> None:
    client = make_client(mirror)
    seen: list[object] = []

    def note(response: requests.Response, **options: object) -> None:
        seen.append((response.status_code, sorted(options)))

    client.get("/", hooks={"response": note})
    assert seen == [(200, ["cert", "proxies", "stream", "timeout", "verify"])]
    client.hooks["response"].append(lambda response, **_: seen.append("session"))
    client.get("/")
    assert seen[1:] == ["session"]


def test_text_and_encodings(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        charset = scope["path"][1:]
        kind = f"text/plain; charset={charset}" if charset else "text/plain"
        await respond(send, "grün €".encode(charset or "latin-1", "replace"), (b"content-type", kind.encode()))

    client = make_client(app)
    assert client.get("/utf-8").text == "grün €"
    assert client.get("/utf-16").text == "grün €"
    assert client.get("/").encoding == "ISO-8859-1"
    assert client.get("/").text == "grün ?"


def test_headers_are_latin_1(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received = dict(scope["headers"])[b"x-in"]
        await respond(send, received, (b"x-out", bytes(range(0xA0, 0x100))))

    response = make_client(app).get("/", headers={"x-in": "\xa0\xff".encode("latin-1")})
    assert response.content == b"\xa0\xff"
    assert response.headers["x-out"] == bytes(range(0xA0, 0x100)).decode("latin-1")


def test_several_set_cookie_headers_in_raw(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"", (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))

    response = make_client(app).get("/")
    assert response.raw.headers.getlist("set-cookie") == ["a=1", "b=2"]
    assert response.headers["set-cookie"] == "a=1, b=2"


def test_iter_lines_and_iter_content(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for piece in (b"one\ntw", b"o\r", b"\nthree", b"", b"\n\nfive"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    client = make_client(app)
    whole = b"one\ntwo\r\nthree\n\nfive"
    with client.get("/", stream=True) as response:
        assert b"".join(response.iter_content(3)) == whole
    with client.get("/", stream=True) as response:
        assert list(response.iter_content(None)) == [b"one\ntw", b"o\r", b"\nthree", b"\n\nfive"]
    with client.get("/", stream=True) as response:
        assert list(response.iter_content()) == [bytes([byte]) for byte in whole]
    with client.get("/", stream=True) as response:
        assert [line for line in response.iter_lines() if line] == [b"one", b"two", b"three", b"five"]
    with client.get("/", stream=True) as response:
        assert list(response.iter_lines(delimiter=b"\n")) == whole.split(b"\n")
    with client.get("/", stream=True) as response:
        response.encoding = "utf-8"
        assert "".join(response.iter_content(4, decode_unicode=True)) == whole.decode()
    with client.get("/", stream=True) as response:
        assert response.content == whole
        assert list(response.iter_content(5)) == [whole[at : at + 5] for at in range(0, len(whole), 5)]
    assert list(client.get("/").iter_content(5)) == [whole[at : at + 5] for at in range(0, len(whole), 5)]
    assert next(client.get("/").iter_lines()) == b"one"
    with client.get("/", stream=True) as response:
        list(response.iter_content(None))
        with pytest.raises(RuntimeError, match="consumed"):
            response.content  # noqa: B018


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_content_codings(make_client: MakeClient, coding: str) -> None:
    text = b"".join(b"line %d\n" % number for number in range(5000))
    coded = gzip.compress(text) if coding == "gzip" else zlib.compress(text)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", coding.encode()), (b"content-length", b"%d" % len(coded))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for at in range(0, len(coded), 1000):
            await send({"type": "http.response.body", "body": coded[at : at + 1000], "more_body": True})
        await send({"type": "http.response.body"})

    client = make_client(app)
    assert client.get("/").content == text
    assert client.get("/").headers["content-encoding"] == coding
    with client.get("/", stream=True) as response:
        assert response.content == text
    with client.get("/", stream=True) as response:
        assert b"".join(response.iter_content(100)) == text
    with client.get("/", stream=True) as response:
        assert list(response.iter_lines())[:2] == [b"line 0", b"line 1"]
    with client.get("/", stream=True) as response:
        assert response.raw.read() == coded
    with client.get("/", stream=True) as response:
        assert response.raw.read(decode_content=True) == text
    with client.get("/", stream=True) as response:
        assert response.raw.read(10, decode_content=True) == text[:10]


def test_a_content_coding_that_is_a_lie(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"not gzip at all", (b"content-encoding", b"gzip"))

    client = make_client(app)
    with pytest.raises(requests.exceptions.ContentDecodingError):
        client.get("/")
    with client.get("/", stream=True) as response, pytest.raises(requests.exceptions.ContentDecodingError):
        response.content  # noqa: B018
    assert client.head("/").content == b""


def test_raw(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        for piece in (b"0123", b"4567", b"89"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    client = make_client(app)
    with client.get("/", stream=True) as response:
        assert (response.raw.status, response.raw.reason) == (200, "OK")
        assert response.raw.headers["X-A"] == "1"
        assert response.raw.read(3) == b"012"
        assert response.raw.read(3) == b"345"
        assert response.raw.read() == b"6789"
        assert response.raw.read() == b""
    with client.get("/", stream=True) as response:
        assert io.TextIOWrapper(cast(Any, response.raw), encoding="ascii").read() == "0123456789"
    with client.get("/", stream=True) as response:
        import shutil

        target = io.BytesIO()
        shutil.copyfileobj(response.raw, target)
        assert target.getvalue() == b"0123456789"
    assert client.get("/").raw.headers["x-a"] == "1"


def test_a_response_that_is_read_after_the_client_is_closed(make_client: MakeClient) -> None:
    client = make_client(mirror)
    response = client.get("/")
    client.close()
    assert response.json()["method"] == "GET"
    response.close()
