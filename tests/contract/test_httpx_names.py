"""What suites that were written for httpx call: options, and names on the client and on responses."""

from __future__ import annotations

import gzip
import http.cookiejar
import pickle
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import requests

from isoclient import StandIn, TestClient

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("thread"), pytest.mark.backends("asyncio")]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body", False)
    headers = [(b"x-type", dict(scope["headers"]).get(b"content-type", b"none"))]
    if scope["path"] == "/from":
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", b"/to")]})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body})


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client(echo)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("content", ["text", b"text", [b"te", b"xt"]])
def test_content_is_the_body_as_it_is(client: TestClient, method: str, content: Any) -> None:
    response = getattr(client, method)("/", content=content)
    assert response.text == f"{method.upper()} text"
    assert response.headers["x-type"] == "none"
    assert client.request(method, "/", content="more", headers={"content-type": "a/b"}).headers["x-type"] == "a/b"


def test_follow_redirects(make_client: MakeClient, client: TestClient) -> None:
    assert client.get("/from").status_code == 200
    assert client.get("/from", follow_redirects=True).status_code == 200
    assert client.get("/from", follow_redirects=False).status_code == 307
    assert client.get("/from", follow_redirects=None).status_code == 200
    assert client.post("/from", allow_redirects=False).status_code == 307
    assert client.head("/from").status_code == 307
    assert client.head("/from", follow_redirects=True).status_code == 200
    staying = make_client(echo, follow_redirects=False)
    assert staying.get("/from").status_code == 307
    assert staying.get("/from", follow_redirects=True).status_code == 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"content": "a", "data": "b"}, "content= and data= mean the same: give one of them"),
        ({"content": "a", "json": {}}, "content= and json= are both the body of the request"),
        ({"content": "a", "files": {"f": b""}}, "content= and files= are both the body of the request"),
        ({"content": {"a": "b"}}, "a form is given as data="),
        ({"follow_redirects": True, "allow_redirects": False}, "follow_redirects= and allow_redirects= mean the same"),
    ],
)
def test_conflicts(client: TestClient, options: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        client.post("/", **options)


def test_options_by_position_as_requests_has_them(client: TestClient) -> None:
    assert client.request("POST", "/", None, "text").text == "POST text"
    everything = (None, None, None, None, None, None, 30.0, False)
    assert client.request("GET", "/from", *everything).status_code == 307
    with pytest.raises(TypeError, match="got data both by position and by name"):
        client.request("POST", "/", None, "text", data="more")
    with pytest.raises(TypeError, match="at most 8 options by position, not 9"):
        client.request("GET", "/", *everything, None)


# -- on responses


async def by_status(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"Vary", b"a"), (b"x-own", b"1"), (b"vary", b"b, c")]
    if scope["path"].startswith("/30"):
        headers.append((b"location", b"/200"))
    await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": headers})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (200, {"is_success"}),
        (204, {"is_success"}),
        (307, {"has_redirect_location", "is_redirect"}),
        (404, {"is_error", "is_client_error"}),
        (503, {"is_error", "is_server_error"}),
    ],
)
def test_the_kind_of_a_status(make_client: MakeClient, status: int, names: set[str]) -> None:
    response = make_client(by_status).get(f"/{status}", follow_redirects=False)
    asked = ("success", "error", "client_error", "server_error", "informational", "redirect")
    told = {f"is_{name}" for name in asked if getattr(response, f"is_{name}")}
    assert told | ({"has_redirect_location"} if response.has_redirect_location else set()) == names
    assert response.reason_phrase == response.reason
    assert (response.http_version, response.charset_encoding) == ("HTTP/1.1", "utf-8")


def test_raise_for_status_returns_the_response(make_client: MakeClient) -> None:
    client = make_client(by_status)
    response = client.get("/200")
    assert response.raise_for_status() is response
    with pytest.raises(requests.HTTPError, match="404 Client Error"):
        client.get("/404").raise_for_status()


def test_headers_that_came_more_than_once(make_client: MakeClient) -> None:
    response = make_client(by_status).get("/200")
    headers = response.headers
    assert headers["VARY"] == "a, b, c"
    assert headers.get_list("Vary") == headers.getlist("vary") == ["a", "b, c"]
    assert headers.get_list("vary", split_commas=True) == ["a", "b", "c"]
    assert headers.get_list("x-missing") == []
    assert headers.multi_items() == [
        ("content-type", "text/plain; charset=utf-8"),
        ("vary", "a"),
        ("x-own", "1"),
        ("vary", "b, c"),
    ]
    assert pickle.loads(pickle.dumps(response)).headers.get_list("vary") == ["a", "b, c"]
    headers["vary"] = "changed"
    del headers["x-own"]
    assert (headers.get_list("vary"), headers.get_list("x-own")) == (["changed"], [])


def test_what_a_response_has_not(client: TestClient) -> None:
    response: Any = client.get("/")
    with pytest.raises(
        AttributeError, match=r"no attribute 'next_request': .* based on requests.* response\.next"
    ) as caught:
        response.next_request  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("next_request", response)
    with pytest.raises(AttributeError, match=r"no attribute 'nothing_of_the_kind'$"):
        response.nothing_of_the_kind  # noqa: B018
    assert not hasattr(response, "aread")


# -- streamed


async def poem(scope: Scope, receive: Receive, send: Send) -> None:
    whole = "één\r\ntwee\n\ndrie\rvier".encode()
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    if scope["path"] == "/gzip":
        whole = gzip.compress(whole)
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for at in range(len(whole)):
        await send({"type": "http.response.body", "body": whole[at : at + 1], "more_body": True})
    await send({"type": "http.response.body"})


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("path", ["/", "/gzip"])
def test_stream(make_client: MakeClient, path: str) -> None:
    client = make_client(poem)
    text = "één\r\ntwee\n\ndrie\rvier"
    with client.stream("GET", path) as response:
        assert list(response.iter_lines()) == ["één", "twee", "", "drie", "vier"]
    with client.stream("GET", path, params={"a": "b"}) as response:
        assert list(response.iter_text(5)) == ["één\r\n", "twee\n", "\ndrie", "\rvier"]
        assert response.url.endswith(f"{path}?a=b")
    with client.stream("GET", path) as response:
        assert "".join(response.iter_text()) == text
    with client.stream("GET", path) as response:
        pieces = list(response.iter_bytes(10))
        assert [len(piece) for piece in pieces] == [10, 10, 2]
        assert b"".join(pieces) == text.encode()
    with client.stream("GET", path) as response:
        raw = b"".join(response.iter_raw(7))
        assert (gzip.decompress(raw) if path == "/gzip" else raw) == text.encode()
        with pytest.raises(RuntimeError, match="consumed"):
            response.read()
    with client.stream("GET", path) as response:
        assert response.read() == response.content == text.encode()
        assert response.text == text
        assert list(response.iter_lines()) == ["één", "twee", "", "drie", "vier"]
    whole = client.get(path)
    assert list(whole.iter_lines()) == text.encode().splitlines()
    assert (list(whole.iter_bytes()), whole.read()) == ([text.encode()], text.encode())
    with pytest.raises(requests.exceptions.StreamConsumedError):
        whole.iter_raw()


@pytest.mark.parametrize("pieces", ["iter_bytes", "iter_raw"])
def test_a_stream_that_is_left_ends(make_client: MakeClient, pieces: str) -> None:
    ended = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        ended.append((await receive())["type"])
        await anyio.lowlevel.checkpoint()

    with make_client(app).stream("GET", "/") as response:
        assert next(getattr(response, pieces)()) == b"first"
    assert ended == ["http.disconnect"]


def test_stream_is_a_flag_too_as_in_requests(make_client: MakeClient) -> None:
    client = make_client(poem)
    assert not client.stream
    client.stream = True
    assert client.stream
    with client.get("/") as response:
        assert not vars(response)["_content_consumed"]
    client.stream = False
    assert vars(client.get("/"))["_content_consumed"]


# -- on the client


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    told = repr([(name, value) for name, value in scope["headers"] if name[:2] == b"x-" or name == b"cookie"])
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told})
        await receive()
    elif scope["path"] == "/redirect":
        await send({"type": "http.response.start", "status": 302, "headers": [(b"location", b"/")]})
        await send({"type": "http.response.body"})
    else:
        headers = [(b"set-cookie", b"from=app")] if scope["path"] == "/cookie" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told.encode()})


def told(client: TestClient, **options: Any) -> Any:
    """The headers of note that a request has, which are those of a WebSocket, too."""
    with client.websocket_connect("/", **options) as websocket:
        of_websocket = eval(websocket.receive_text())
    assert of_websocket == eval(client.get("/", **options).text)
    return of_websocket


def several() -> list[Any]:
    """The same headers in all forms that may hold one more than once."""
    import httpx
    from starlette.datastructures import Headers
    from urllib3 import HTTPHeaderDict

    pairs = [("x-a", "1"), ("X-B", "2"), ("x-a", "3")]
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    return [pairs, tuple(pairs), iter(pairs), raw, httpx.Headers(pairs), Headers(raw=raw), HTTPHeaderDict(pairs)]


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("number", range(7))
def test_headers_that_are_sent_more_than_once(make_client: MakeClient, number: int) -> None:
    client = make_client(mirror)
    expected = [(b"x-a", b"1"), (b"x-a", b"3"), (b"x-b", b"2")]
    given = several()[number]
    if number == 2:
        given = list(given)
    assert told(client, headers=given) == expected
    assert eval(client.send(client.build_request("get", "/", headers=several()[number])).text) == expected
    client.headers = several()[number]
    for each in (client, make_client(mirror, headers=several()[number])):
        assert told(each) == expected
        assert told(each, headers={"x-a": "own"}) == [(b"x-a", b"own"), (b"x-b", b"2")]
        assert each.headers["X-a"] == "1, 3"
        each.headers["X-a"] = "1, 3"  # the same text, but one header
        assert sorted(told(each)) == [(b"x-a", b"1, 3"), (b"x-b", b"2")]


def test_repeated_headers_on_their_way(make_client: MakeClient) -> None:
    client = make_client(mirror)
    pairs = [("x-a", "1"), ("x-a", "2"), ("cookie", "a=1"), ("cookie", "b=2")]
    response = client.get("/redirect", headers=pairs)
    assert eval(response.text)[:2] == [(b"x-a", b"1"), (b"x-a", b"2")]
    asked = response.history[0].request.headers
    assert (asked["x-a"], asked["cookie"]) == ("1, 2", "a=1; b=2")
    assert told(client, headers={"x-a": "1, 2"}) == [(b"x-a", b"1, 2")]
    assert told(client, headers=[("x-a", "1"), ("x-a", "2")]) == [(b"x-a", b"1"), (b"x-a", b"2")]


@pytest.mark.parametrize("headers", ["x-a: 1", [1], ["x-a"], [("x-a", "1", "2")], [(1, "2")], 5])
def test_what_is_no_headers(make_client: MakeClient, headers: Any) -> None:
    client = make_client(mirror)
    for ask in (client.get, client.websocket_connect):
        with pytest.raises(TypeError, match="headers are a mapping or pairs of name and value, not "):
            ask("/", headers=headers)
    with pytest.raises(TypeError, match="headers are a mapping or pairs"):
        make_client(mirror, headers=headers)


def test_a_repeated_header_that_is_no_text(make_client: MakeClient) -> None:
    with pytest.raises(requests.exceptions.InvalidHeader, match="'x-a' must be str or bytes, not int: 2"):
        make_client(mirror).get("/", headers=[("x-a", "1"), ("x-a", 2)])


@pytest.mark.modes("fork", "thread")
def test_cookies_in_all_forms(make_client: MakeClient) -> None:
    import httpx

    jar = requests.cookies.RequestsCookieJar()
    jar.update({"a": "1", "b": "2"})
    for given in ({"a": "1", "b": "2"}, [("a", "1"), ("b", "2")], jar, httpx.Cookies({"a": "1", "b": "2"})):
        expected = [(b"cookie", b"a=1; b=2")]
        assert told(make_client(mirror), cookies=given) == expected
        assert told(make_client(mirror, cookies=given)) == expected
        client = make_client(mirror)
        client.cookies = given
        assert dict(client.cookies) == {"a": "1", "b": "2"}
        assert eval(client.get("/").text) == expected
    client.cookies = None
    assert eval(client.get("/").text) == []
    with pytest.raises(TypeError, match="cookies are a jar, a mapping or pairs of name and value, not 5"):
        client.get("/", cookies=5)


def test_the_jar_of_a_client(make_client: MakeClient) -> None:
    client = make_client(mirror)
    client.cookies = {"a": "1"}
    client.cookies.set("a", "2", domain="shop.example")
    client.cookies.delete("a", domain="shop.example")
    assert [(cookie.name, cookie.domain) for cookie in client.cookies.jar] == [("a", "")]
    client.cookies.delete("a")
    client.cookies.delete("a")  # which is not there any more, and that is no error
    assert told(client) == []
    own = http.cookiejar.CookieJar()
    client.cookies = own
    client.get("/cookie")
    assert [cookie.value for cookie in own] == ["app"]
    assert client.cookies is own


def test_build_request_and_send(make_client: MakeClient) -> None:
    client = make_client(echo, cookies={"a": "1"})
    request = client.build_request("post", "/there", content="text", params={"x": 1})
    assert (request.method, request.url) == ("POST", "http://testserver/there?x=1")
    assert request.headers["cookie"] == "a=1"
    assert client.send(request).text == "POST text"
    redirected = client.build_request("GET", "/from")
    assert client.send(redirected).status_code == 200
    assert client.send(redirected, follow_redirects=False).status_code == 307
    assert client.send(redirected, allow_redirects=False).status_code == 307
    client.follow_redirects = False
    assert client.send(redirected).status_code == 307
    assert client.send(redirected, follow_redirects=True).status_code == 200
    with client.send(request, stream=True) as response:
        assert b"".join(response.iter_bytes()) == b"POST text"


@pytest.mark.modes("fork", "forkserver", "thread")
def test_the_state_of_the_app(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        import threading

        if scope["type"] == "lifespan":
            scope["state"].update(items=[], lock=threading.Lock())
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            scope["state"]["items"].append(scope["path"])
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

    client = make_client(app)
    assert client.app_state == {}
    with client:
        client.get("/a")
        assert client.app_state["items"] == ["/a"]
        client.get("/b")
        assert client.app_state["items"] == ["/a", "/b"]
        assert isinstance(client.app_state["lock"], StandIn) is ("in-process" not in repr(client))
        if "in-process" in repr(client):
            client.app_state["items"].append("by the test")
            assert client.app_state["items"] == ["/a", "/b", "by the test"]
    assert client.app_state == {}


@pytest.mark.modes("fork")
def test_the_state_of_a_fork_for_each_request(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["started"] = True
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    client = make_client(app, isolated="request")
    assert client.app_state == {}
    with client:
        assert client.app_state == {"started": True}


def test_what_a_client_has_not(client: TestClient) -> None:
    with pytest.raises(
        AttributeError, match=r"'TestClient' object has no attribute 'portal': .*client\.call\(function"
    ):
        client.portal  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing_of_the_kind'$"):
        client.nothing_of_the_kind  # type: ignore[attr-defined]  # noqa: B018


def test_what_a_property_of_a_subclass_raises_is_kept() -> None:
    class ShopClient(TestClient):
        @property
        def cart(self) -> object:
            raise AttributeError("of the cart")

    with pytest.raises(AttributeError, match="of the cart"):
        ShopClient(mirror).cart  # noqa: B018
