"""The scope, exactly as ASGI 3.0 / HTTP 2.5 has it."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoclient import WebSocketDisconnect

if TYPE_CHECKING:
    from isoclient import TestClient
    from tests.conftest import MakeClient, Receive, Scope, Send

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr(scope).encode()})


def test_the_whole_of_it(make_client: MakeClient) -> None:
    client = make_client(mirror, root_path="/mount", client=("192.0.2.1", 1234))
    scope: dict[str, Any] = eval(client.get("/a%20b/%C3%A4?x=%20&y", headers={"X-Own": "1"}).content)
    headers = scope.pop("headers")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b/ä",
        "raw_path": b"/a%20b/%C3%A4",
        "query_string": b"x=%20&y",
        "root_path": "/mount",
        "client": ("192.0.2.1", 1234),
        "server": ("testserver", 80),
        "state": {},
        "extensions": {
            "http.response.debug": {},
            "http.response.template": {},
            "http.response.trailers": {},
            "http.response.pathsend": {},
            "http.response.early_hint": {},
        },
    }
    assert [tuple(header) for header in headers if header[0] in (b"host", b"x-own", b"user-agent")] == [
        (b"host", b"testserver"),
        (b"user-agent", b"testclient"),
        (b"x-own", b"1"),
    ]


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_the_defaults(make_client: MakeClient) -> None:
    scope: dict[str, Any] = eval(make_client(mirror).get("").content)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/", b"/", b"")
    assert (scope["root_path"], scope["client"]) == ("", ("testclient", 50000))


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_scheme_server_and_host(make_client: MakeClient) -> None:
    client = make_client(mirror)

    def told(url: str) -> tuple[object, ...]:
        scope = eval(client.get(url).content)
        return scope["scheme"], scope["server"], dict(scope["headers"])[b"host"]

    assert told("http://example.org/") == ("http", ("example.org", 80), b"example.org")
    assert told("http://example.org:80/") == ("http", ("example.org", 80), b"example.org")
    assert told("https://example.org/") == ("https", ("example.org", 443), b"example.org")
    assert told("https://example.org:443/") == ("https", ("example.org", 443), b"example.org")
    assert told("http://example.org:443/") == ("http", ("example.org", 443), b"example.org:443")
    assert told("https://example.org:8443/") == ("https", ("example.org", 8443), b"example.org:8443")
    assert told("http://[::1]:8000/") == ("http", ("::1", 8000), b"[::1]:8000")
    assert told("http://127.0.0.1/") == ("http", ("127.0.0.1", 80), b"127.0.0.1")
    assert told("http://bücher.example/")[1:] == (("xn--bcher-kva.example", 80), b"xn--bcher-kva.example")


async def either_mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """The scope, of an HTTP request in the response, of a WebSocket in a message."""
    if scope["type"] == "http":
        await mirror(scope, receive, send)
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    await send({"type": "websocket.send", "text": repr(scope)})
    await receive()


def scopes_of(client: TestClient, url: str = "/", **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an HTTP request and what a WebSocket has for a scope."""
    with client.websocket_connect(url, **options) as websocket:
        return eval(client.get(url, **options).content), eval(websocket.receive_text())


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_the_scope_is_what_the_prepared_request_says(make_client: MakeClient) -> None:
    client = make_client(either_mirror)

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update({"Host": "shop.example", "Cookie": "a=1", "Sec-WebSocket-Protocol": "b,\tc ,, d"})
        request.url = "https://elsewhere.example:8443/signed?by=me"
        return request

    for scope, scheme in zip(scopes_of(client, "/plain?x", auth=sign), ("https", "wss"), strict=True):
        assert (scope["scheme"], scope["server"]) == (scheme, ("elsewhere.example", 8443))
        assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/signed", b"/signed", b"by=me")
        headers = dict(scope["headers"])
        assert (headers[b"host"], headers[b"cookie"]) == (b"shop.example", b"a=1")
        assert scope.get("subprotocols", ["b", "c", "d"]) == ["b", "c", "d"]


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("name", ["sec-websocket-protocol", "Sec-WebSocket-Protocol"])
def test_subprotocols_given_as_a_header(make_client: MakeClient, name: str) -> None:
    client = make_client(either_mirror)

    def offered(**options: Any) -> tuple[object, list[str]]:
        with client.websocket_connect("/", **options) as websocket:
            return websocket.accepted_subprotocol, eval(websocket.receive_text())["subprotocols"]

    assert offered() == (None, [])
    assert offered(headers={name: "chat, superchat"}) == ("chat", ["chat", "superchat"])
    assert offered(headers={name: b"chat"}) == ("chat", ["chat"])
    assert offered(headers={name: ""}) == (None, [])
    assert offered(subprotocols=["one", "two"]) == ("one", ["one", "two"])
    assert offered(subprotocols=["one"], headers={name: "two"}) == ("two", ["two"])
    client.headers[name] = "three"
    assert offered() == ("three", ["three"])


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_what_is_set_later_holds_for_both_kinds_of_request(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fail":
            raise LookupError("in the app")
        await either_mirror(scope, receive, send)

    client = make_client(app)
    client.get("/")  # the app runs
    client.base_url = "https://shop.example:1234/"
    client.root_path = "/mount"
    client.client_address = ("192.0.2.1", 1)
    client.params = {"a": "1"}
    for scope in scopes_of(client, "there"):
        assert scope["server"] == ("shop.example", 1234)
        assert scope["root_path"] == "/mount"
        assert scope["client"] == ("192.0.2.1", 1)
        assert (scope["path"], scope["query_string"]) == ("/there", b"a=1")
    for ask in (client.get, client.websocket_connect):
        client.raise_server_exceptions = True
        with pytest.raises(LookupError, match="in the app"):
            ask("/fail")
    client.raise_server_exceptions = False
    assert client.get("/fail").status_code == 500
    with pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/fail")


@pytest.mark.modes("thread")
@pytest.mark.backends("asyncio")
def test_urls_that_are_objects(make_client: MakeClient) -> None:
    from starlette.datastructures import URL, URLPath

    client = make_client(either_mirror, base_url=URL("http://shop.example/api/"))
    for url in ("/there?x=1", b"/there?x=1", URL("http://shop.example/there?x=1"), URLPath("/there?x=1")):
        for scope in scopes_of(client, url):  # type: ignore[arg-type]
            assert (scope["server"], scope["path"], scope["query_string"]) == (("shop.example", 80), "/there", b"x=1")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_paths_of_note(make_client: MakeClient) -> None:
    client = make_client(mirror)

    def told(url: str) -> tuple[object, ...]:
        scope = eval(client.get(url).content)
        return scope["path"], scope["raw_path"], scope["query_string"]

    assert told("/a%2Fb") == ("/a/b", b"/a%2Fb", b"")
    assert told("/ä") == ("/ä", b"/%C3%A4", b"")
    assert told("/100%25") == ("/100%", b"/100%25", b"")
    assert told("/a;b=c") == ("/a;b=c", b"/a;b=c", b"")
    assert told("/a+b") == ("/a+b", b"/a+b", b"")
    assert told("/?a=%2B+c&&d") == ("/", b"/", b"a=%2B+c&&d")
    assert told("/?a?b=?") == ("/", b"/", b"a?b=?")
    assert told("/?q=ä") == ("/", b"/", b"q=%C3%A4")
    assert told("/a#fragment?x") == ("/a", b"/a", b"")
    assert told("http://testserver//double//slash/") == ("//double//slash/", b"//double//slash/", b"")
    assert told("/%FF")[1] == b"/%FF"
    assert "\ufffd" in str(told("/%FF")[0])


@pytest.mark.backends("asyncio")
def test_the_types_are_exact(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kinds = {key: type(value).__name__ for key, value in scope.items()}
        parts = {type(part).__name__ for header in scope["headers"] for part in header}
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr((kinds, parts)).encode()})

    kinds, parts = eval(make_client(app).get("/", headers={"x-a": b"1"}).content)
    assert parts == {"bytes"}
    assert {name for name, kind in kinds.items() if kind == "bytes"} == {"raw_path", "query_string"}
    assert {name for name, kind in kinds.items() if kind == "dict"} == {"asgi", "state", "extensions"}
    texts = {"type", "http_version", "method", "scheme", "path", "root_path"}
    assert {name for name, kind in kinds.items() if kind == "str"} == texts


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_each_request_has_a_scope_of_its_own(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = sorted(key for part in (scope, scope["asgi"], scope["extensions"], scope["state"]) for key in part)
        for part in (scope, scope["asgi"], scope["extensions"], scope["state"]):
            part["left by the one before"] = {}
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(found).encode()})

    client = make_client(app)
    assert client.get("/").content == client.get("/").content


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_any_path(make_client: MakeClient) -> None:
    client = make_client(mirror)
    texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    segments_of_a_path = texts.filter(lambda text: not {".", ".."} & set(text.split("/")))  # which requests resolves

    @quick
    @given(st.lists(segments_of_a_path, max_size=5))
    def check(segments: list[str]) -> None:
        path = "/" + "/".join(segments)
        response = client.get("http://testserver" + quote(path))
        scope = eval(response.content)
        assert scope["path"] == path
        assert scope["raw_path"] == urlsplit(str(response.request.url)).path.encode()
        assert scope["query_string"] == b""

    check()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_any_query(make_client: MakeClient) -> None:
    client = make_client(mirror)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

    @quick
    @given(st.lists(st.tuples(texts.filter(bool), texts), max_size=5))
    def check(params: list[tuple[str, str]]) -> None:
        scope = eval(client.get("/", params=params).content)
        assert parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True) == params
        assert scope["raw_path"] == b"/"

    @quick
    @given(st.text("abc=&;+%20/?:@!$'()*,~._-", max_size=30).filter(lambda text: "%" not in text))
    def check_as_sent(query: str) -> None:
        scope = eval(client.get(f"http://testserver/?{query}").content)
        assert scope["query_string"] == query.encode()

    check()
    check_as_sent()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_any_headers(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0].startswith(b"x-")]
        assert all(name == name.lower() for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": repr(headers).encode()})

    client = make_client(app)
    names = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=10).map("X-{}".format)
    values = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30).filter(
        lambda text: not text[:1].isspace()
    )

    @quick
    @given(st.dictionaries(names, values, max_size=6))
    def check(headers: dict[str, str]) -> None:
        response = client.get("/", headers={name.upper(): value for name, value in headers.items()})
        headers = {name.lower(): value.strip(" \t") for name, value in headers.items()}
        received = {name.decode(): value.decode("latin-1") for name, value in eval(response.content)}
        assert received == headers
        assert {name: response.headers[name] for name in headers} == headers

    check()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_any_body_and_status(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": int(scope["path"][1:])})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    client = make_client(app)

    @quick
    @given(st.integers(200, 599).filter(lambda status: not 300 <= status < 400), st.lists(st.binary(max_size=5000)))
    def check(status: int, pieces: list[bytes]) -> None:
        response = client.post(f"/{status}", data=iter(pieces))
        assert (response.status_code, response.content) == (status, b"" if status == 204 else b"".join(pieces))

    check()
