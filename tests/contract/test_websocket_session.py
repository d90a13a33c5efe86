"""A WebSocket session from the client's side: what goes in and out while it is open."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests.auth

from isoclient import AppTimeout, WebSocketDisconnect
from isoclient.wire.mux import Mux, Stream

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def test_texts_bytes_and_json(make_client: MakeClient) -> None:
    with make_client(echo).websocket_connect("/") as websocket:
        websocket.send_text("grün")
        assert websocket.receive_text() == "grün"
        websocket.send_bytes(b"\x00\xff")
        assert websocket.receive_bytes() == b"\x00\xff"
        websocket.send_json({"a": [1, "ä", None]})
        assert websocket.receive_json() == {"a": [1, "ä", None]}
        websocket.send_json([1], mode="binary")
        assert websocket.receive_json(mode="binary") == [1]
        websocket.send_json("as text")
        assert json.loads(websocket.receive_text()) == "as text"
        websocket.send_json("as bytes", mode="binary")
        assert json.loads(websocket.receive_bytes()) == "as bytes"
        websocket.send_text("")
        assert websocket.receive_text() == ""
        websocket.send_bytes(b"")
        assert websocket.receive_bytes() == b""


@pytest.mark.modes("fork", "thread")
def test_raw_messages(make_client: MakeClient) -> None:
    with make_client(echo).websocket_connect("/") as websocket:
        websocket.send({"type": "websocket.receive", "text": "raw"})
        message = websocket.receive()
        assert (message["type"], message["text"]) == ("websocket.send", "raw")


@pytest.mark.modes("fork", "thread")
def test_messages_keep_their_order(make_client: MakeClient) -> None:
    with make_client(echo).websocket_connect("/") as websocket:
        for number in range(300):
            websocket.send_text(str(number))
        assert [websocket.receive_text() for _ in range(300)] == [str(number) for number in range(300)]


@pytest.mark.modes("fork", "thread")
def test_what_the_app_is_told_of_a_message(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connect = await receive()
        await send({"type": "websocket.accept"})
        seen = [connect, await receive(), await receive(), await receive()]
        await send({"type": "websocket.send", "text": repr(seen[:-1])})

    with make_client(app).websocket_connect("/") as websocket:
        websocket.send_text("a")
        websocket.send_bytes(b"b")
        websocket.send_text("end")
        connect, first, second = eval(websocket.receive_text())
    assert connect == {"type": "websocket.connect"}
    # The key that has no value may be there with None, or not be there.
    assert {key: value for key, value in first.items() if value is not None} == {
        "type": "websocket.receive",
        "text": "a",
    }
    assert {key: value for key, value in second.items() if value is not None} == {
        "type": "websocket.receive",
        "bytes": b"b",
    }


@pytest.mark.modes("fork", "thread")
def test_iteration_ends_with_the_close(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "one"})
        await send({"type": "websocket.send", "bytes": b"two"})
        await send({"type": "websocket.close"})

    with make_client(app).websocket_connect("/") as websocket:
        assert list(websocket) == ["one", b"two"]
        with pytest.raises(WebSocketDisconnect):
            websocket.receive_text()


def test_the_handshake(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"X-Chosen", b"ja"), (b"set-cookie", b"seen=yes; Path=/")]
        chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
        await send({"type": "websocket.send", "text": repr({**scope, "state": None})})
        await receive()

    client = make_client(app, headers={"x-session": "1"}, root_path="/mount")
    client.cookies["session"] = "42"
    with client.websocket_connect(
        "/a b/%C3%A4?x=1",
        ["v1.chat", "v2.chat"],
        params={"y": "ü"},
        headers={"X-Request": "2"},
        auth=("user", "pass"),
        cookies={"more": "43"},
        timeout=20,
    ) as websocket:
        assert websocket.accepted_subprotocol == "v2.chat"
        assert (b"X-Chosen", b"ja") in websocket.extra_headers
        scope: dict[str, Any] = eval(websocket.receive_text())
        assert websocket.scope["path"] == scope["path"]
    headers = dict(scope.pop("headers"))
    assert {name: value for name, value in scope.items() if name not in ("extensions", "state")} == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/a b/ä",
        "raw_path": b"/a%20b/%C3%A4",
        "query_string": b"x=1&y=%C3%BC",
        "root_path": "/mount",
        "client": ("testclient", 50000),
        "server": ("testserver", 80),
        "subprotocols": ["v1.chat", "v2.chat"],
    }
    assert headers[b"host"] == b"testserver"
    assert headers[b"x-session"] == b"1"
    assert headers[b"x-request"] == b"2"
    assert headers[b"authorization"] == requests.auth._basic_auth_str("user", "pass").encode()
    assert set(headers[b"cookie"].split(b"; ")) == {b"session=42", b"more=43"}
    assert headers[b"upgrade"] == b"websocket"
    assert headers[b"connection"].lower() == b"upgrade"
    assert headers[b"sec-websocket-protocol"] == b"v1.chat, v2.chat"
    assert headers[b"sec-websocket-version"] == b"13"
    assert headers[b"sec-websocket-key"]


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_urls(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": repr([scope["scheme"], scope["server"], scope["path"]])})

    client = make_client(app)

    def told(url: str) -> Any:
        with client.websocket_connect(url) as websocket:
            return eval(websocket.receive_text())

    assert told("/a") == ["ws", ("testserver", 80), "/a"]
    assert told("ws://example.org/b") == ["ws", ("example.org", 80), "/b"]
    assert told("wss://example.org/b") == ["wss", ("example.org", 443), "/b"]
    assert told("https://example.org:8443/b") == ["wss", ("example.org", 8443), "/b"]
    assert told("http://example.org") == ["ws", ("example.org", 80), "/"]
    secure = make_client(app, base_url="https://testserver")
    with secure.websocket_connect("/") as websocket:
        assert eval(websocket.receive_text())[0] == "wss"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_options_and_helpers_of_requests(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": repr(dict(scope["headers"]))})

    class Token(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["x-token"] = "secret"
            return request

    client = make_client(app)
    client.auth = ("session", "auth")
    with client.websocket_connect("/", auth=Token(), allow_redirects=False, verify=False) as websocket:
        assert eval(websocket.receive_text())[b"x-token"] == b"secret"
    with client.websocket_connect("/") as websocket:
        assert eval(websocket.receive_text())[b"authorization"].startswith(b"Basic ")
    with pytest.raises(TypeError, match="colour"):
        client.websocket_connect("/", colour="red")


@pytest.mark.modes("fork", "thread")
def test_the_text_and_bytes_of_a_message_are_not_mixed_up(make_client: MakeClient) -> None:
    with make_client(echo).websocket_connect("/") as websocket:
        websocket.send_text("a text")
        with pytest.raises(TypeError, match="a text"):
            websocket.receive_bytes()
        websocket.send_bytes(b"some bytes")
        with pytest.raises(TypeError, match="some bytes"):
            websocket.receive_text()
        with pytest.raises(ValueError, match="mode"):
            websocket.send_json(1, mode="xml")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="mode"):
            websocket.receive_json(mode="xml")  # type: ignore[arg-type]


@pytest.mark.backends("asyncio")
def test_big_messages(make_client: MakeClient) -> None:
    data = bytes(range(256)) * 20_000  # several windows long
    with make_client(echo).websocket_connect("/") as websocket:
        websocket.send_bytes(data)
        assert websocket.receive_bytes() == data
        websocket.send_text("ä" * 3_000_000)
        assert websocket.receive_text() == "ä" * 3_000_000


def test_one_who_only_sends_does_not_block_an_app_that_echoes(make_client: MakeClient) -> None:
    piece = b"x" * 100_000
    with make_client(echo).websocket_connect("/") as websocket:
        for _ in range(50):  # more than the windows and the pipe hold both ways
            websocket.send_bytes(piece)
        for _ in range(50):
            assert websocket.receive_bytes() == piece


def test_an_app_that_sends_without_end_is_held_back(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        number = 0
        while True:
            await send({"type": "websocket.send", "bytes": b"%06d" % number + bytes(50_000)})
            number += 1

    with make_client(app).websocket_connect("/") as websocket:
        for number in range(100):
            assert websocket.receive_bytes()[:6] == b"%06d" % number


def test_http_requests_while_it_is_open(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": scope["path"].encode()})

    client = make_client(app)
    with client.websocket_connect("/") as one, client.websocket_connect("/") as two:
        one.send_text("to one")
        assert client.get("/between").text == "/between"
        two.send_text("to two")
        assert two.receive_text() == "to two"
        assert client.post("/again", data=b"x" * 500_000).text == "/again"
        assert one.receive_text() == "to one"


def test_each_receive_has_a_timeout_of_its_own(make_client: MakeClient) -> None:
    with make_client(echo).websocket_connect("/") as websocket:
        for receive in (websocket.receive, websocket.receive_text, websocket.receive_bytes, websocket.receive_json):
            with pytest.raises(AppTimeout) as caught:
                receive(timeout=0.01)
            assert caught.value.seconds == 0.01
            assert "echo" in caught.value.tasks


@pytest.mark.modes("fork", "thread")
def test_one_can_go_on_after_a_receive_that_timed_out(make_client: MakeClient) -> None:
    with make_client(echo).websocket_connect("/") as websocket:
        with pytest.raises(AppTimeout):
            websocket.receive_text(timeout=0.01)
        websocket.send_text("still there?")
        assert websocket.receive_text() == "still there?"


class Text(str):
    """One that is no plain str."""


async def adding(scope: Scope, receive: Receive, send: Send) -> None:
    """Puts into its scope what frameworks and their middleware put there."""
    scope["extensions"]["own"] = {}
    scope |= {
        "app": adding,
        "path_params": {"id": 5},
        "session": {},
        "user": "ada",
        "root_path": "/mount",
        "late": None,
    }
    scope |= {"locks": [threading.Lock()], "big": "x" * 100_000, "text": Text("text")}
    await send({"type": "websocket.accept", "headers": [(b"X-Own", b"1")]})
    while (message := await receive())["type"] != "websocket.receive":
        pass
    scope["session"]["cart"] = [message["text"]]
    scope["user"] = "bob"
    await send({"type": "websocket.send", "text": "put into the cart"})
    while (await receive())["type"] != "websocket.disconnect":
        pass
    scope["late"] = "at the end"


@pytest.mark.modes("fork", "forkserver", "thread")
def test_the_scope_has_what_the_app_has_put_there(make_client: MakeClient, cell: Cell) -> None:
    with make_client(adding).websocket_connect("/items/5") as websocket:
        assert websocket.extra_headers == [(b"X-Own", b"1")]
        scope = websocket.scope
        assert (scope["path"], scope["path_params"], scope["root_path"]) == ("/items/5", {"id": 5}, "/mount")
        assert (scope["user"], scope["session"], scope["late"], scope["text"]) == ("ada", {}, None, "text")
        assert scope["asgi"]["version"] == "3.0"
        assert "own" in scope["extensions"]
        websocket.send_text("tea")
        assert websocket.receive_text() == "put into the cart"
        assert websocket.scope is scope
        assert (websocket.scope["user"], websocket.scope["session"]) == ("bob", {"cart": ["tea"]})
        if cell.isolated:  # what is no plain value, or a large one, stays there
            assert not {"app", "locks", "big", "state"} & set(scope)
        else:
            assert (scope["app"], scope["state"]) == (adding, {})
    assert websocket.scope["late"] == "at the end"


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_nothing_of_the_scope_crosses_when_nothing_has_changed(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tell = Mux.tell_of_scope

    def told(self: Mux, stream: Stream, news: dict[str, Any]) -> None:
        print("told of", sorted(news))
        tell(self, stream, news)

    monkeypatch.setattr(Mux, "tell_of_scope", told)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        for _ in range(3):
            await send({"type": "websocket.send", "text": "hello"})
        scope["user"] = {"name": "ada"}
        for _ in range(3):
            await send({"type": "websocket.send", "text": "hello"})

    with make_client(app).websocket_connect("/") as websocket:
        assert list(websocket) == ["hello"] * 6
        assert websocket.scope["user"] == {"name": "ada"}
    assert capfd.readouterr().out == "told of ['asgi', 'extensions']\ntold of ['user']\n"
