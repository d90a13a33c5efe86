"""All of requests works."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import requests.auth
import urllib3

from isoclient import AppTimeout
from tests.contract.mirror_app import mirror, read, respond

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- what goes out


def test_methods(make_client: MakeClient) -> None:
    client = make_client(mirror)
    for method in ("get", "options", "post", "put", "patch", "delete"):
        assert getattr(client, method)("/x").json()["method"] == method.upper()
    assert client.request("PROPFIND", "/x").json()["method"] == "PROPFIND"
    assert client.request("get", "/x").json()["method"] == "GET"


def test_head(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["method"] == "HEAD"
        await respond(send, b"not for HEAD", (b"content-length", b"12"))

    client = make_client(app)
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "12"
    assert client.head("/", stream=True).content == b""


def test_params(make_client: MakeClient) -> None:
    client = make_client(mirror)
    assert client.get("/?z=1", params={"q": "ä b", "many": [1, 2]}).json()["query"] == "z=1&q=%C3%A4+b&many=1&many=2"
    assert client.get("/", params="as+it=is").json()["query"] == "as+it=is"
    assert client.get("/", params=[("a", "1"), ("a", "2")]).json()["query"] == "a=1&a=2"
    client.params = {"always": "1"}
    assert client.get("/", params={"q": "2"}).json()["query"] == "always=1&q=2"


def test_data(make_client: MakeClient) -> None:
    client = make_client(mirror)
    form = client.post("/", data={"a": "1", "b": ["2", "ä"]}).json()
    assert form["body"] == "a=1&b=2&b=%C3%A4"
    assert form["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert form["headers"]["content-length"] == "16"
    assert client.post("/", data=b"\x00\xff").json()["body"] == "\x00\xff"
    assert client.post("/", data="text").json()["headers"]["content-length"] == "4"
    assert client.post("/", data=[("a", "1"), ("a", "2")]).json()["body"] == "a=1&a=2"
    assert client.put("/", data=bytearray(b"array")).json()["body"] == "array"


def test_json(make_client: MakeClient) -> None:
    told = make_client(mirror).post("/", json={"a": [1, None, "ä"]}).json()
    assert json.loads(told["body"]) == {"a": [1, None, "ä"]}
    assert told["headers"]["content-type"] == "application/json"


def test_a_file_as_the_body_is_sent_in_pieces(make_client: MakeClient, tmp_path: Path) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sizes, more = [], True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await respond(send, repr((sizes, dict(scope["headers"]).get(b"content-length"))).encode())

    path = tmp_path / "upload"
    path.write_bytes(bytes(1_000_000))
    with path.open("rb") as file:
        sizes, length = eval(make_client(app).post("/", data=file).text)
    assert sum(sizes) == 1_000_000
    assert len(sizes) > 2
    assert max(sizes) <= 256 * 1024
    assert length == b"1000000"


def test_files(make_client: MakeClient, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("from a file")
    with path.open("rb") as file:
        told = make_client(mirror).post(
            "/",
            data={"field": "value"},
            files={"one": file, "two": ("two.bin", b"\x00\x01", "application/x-two", {"x-part": "yes"})},
        )
    body, kind = told.json()["body"], told.json()["headers"]["content-type"]
    assert kind.startswith("multipart/form-data; boundary=")
    boundary = kind.partition("boundary=")[2]
    parts = body.split(f"--{boundary}")
    assert len(parts) == 5
    assert 'name="field"\r\n\r\nvalue' in parts[1]
    assert 'name="one"; filename="notes.txt"\r\n\r\nfrom a file' in parts[2]
    assert 'name="two"; filename="two.bin"\r\n' in parts[3]
    assert "x-part: yes\r\n" in parts[3]
    assert parts[3].endswith("\r\n\r\n\x00\x01\r\n")


@pytest.mark.parametrize("last", [1, 2047, 2048, 100_000])
def test_each_piece_is_of_bytes(make_client: MakeClient, last: int) -> None:
    kinds = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            kinds.append((type(message["body"]), len(message["body"])))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(kinds).encode()})

    piece = 256 * 1024
    response = make_client(app).post("/", data=bytes(2 * piece + last))
    assert response.text == repr([(bytes, piece), (bytes, piece), (bytes, last)])


def test_a_large_upload_arrives_in_pieces(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sizes, more = [], True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await respond(send, repr(sizes).encode())

    response = make_client(app).post("/", files={"file": ("big", io.BytesIO(bytes(3_000_000)))})
    sizes = eval(response.text)
    assert len(sizes) > 3
    assert sum(sizes) > 3_000_000


def test_a_generator_has_no_length(make_client: MakeClient) -> None:
    def pieces() -> Iterator[bytes | str]:
        yield b"one "
        yield ""
        yield "zwölf"

    told = make_client(mirror).post("/", data=pieces()).json()
    assert told["body"].encode("latin-1").decode() == "one zwölf"
    assert "content-length" not in told["headers"]
    assert told["headers"]["transfer-encoding"] == "chunked"


def test_auth(make_client: MakeClient) -> None:
    class Token(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["x-token"] = f"for {request.path_url}"
            return request

    client = make_client(mirror)
    basic = requests.auth._basic_auth_str("me", "secret")
    assert client.get("/", auth=("me", "secret")).json()["headers"]["authorization"] == basic
    assert client.get("/a?b=c", auth=Token()).json()["headers"]["x-token"] == "for /a?b=c"
    assert client.get("http://me:secret@testserver/").json()["headers"]["authorization"] == basic
    client.auth = ("me", "secret")
    assert client.get("/").json()["headers"]["authorization"] == basic
    assert client.post("/", auth=lambda request: request).json()["headers"].get("authorization") is None


def test_digest_auth(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if b'username="me"' in sent and b'nonce="n0"' in sent:
            await respond(send, b"welcome " + await read(receive))
        else:
            challenge = b'Digest realm="shop", nonce="n0", qop="auth", algorithm=MD5'
            await respond(send, b"who?", (b"www-authenticate", challenge), status=401)

    client = make_client(app)
    response = client.post("/", data=b"again", auth=requests.auth.HTTPDigestAuth("me", "secret"))
    assert (response.status_code, response.content) == (200, b"welcome again")
    assert [earlier.status_code for earlier in response.history] == [401]


def test_no_netrc_and_no_proxies(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine testserver login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = make_client(mirror)
    assert client.trust_env is False
    assert "authorization" not in client.get("/").json()["headers"]


def test_headers(make_client: MakeClient) -> None:
    client = make_client(mirror, headers={"X-Session": "1", "user-agent": "mine"})
    told = client.get("/", headers={"X-Own": "grün", "X-Bytes": b"b\xfcro"}).json()["headers"]
    assert told["x-session"] == "1"
    assert told["x-own"] == "grün"
    assert told["x-bytes"] == "büro"
    assert told["user-agent"] == "mine"
    assert told["host"] == "testserver"
    assert make_client(mirror).get("/").json()["headers"]["user-agent"] == "testclient"
    assert client.get("/", headers={"X-Session": None}).json()["headers"].get("x-session") is None
    assert client.get("/", headers={"Host": "else.where"}).json()["headers"]["host"] == "else.where"
    client.headers["x-later"] = "2"
    assert client.get("/").json()["headers"]["x-later"] == "2"
    with pytest.raises(requests.exceptions.InvalidHeader):
        client.get("/", headers={"x-a": "b\r\nc: d"})


def test_urls(make_client: MakeClient) -> None:
    def told(url: str, **options: Any) -> list[Any]:
        answer = make_client(mirror, **options).get(url).json()
        return [answer["scheme"], answer["server"], answer["path"]]

    assert told("/a") == ["http", ["testserver", 80], "/a"]
    assert told("a") == ["http", ["testserver", 80], "/a"]
    assert told("") == ["http", ["testserver", 80], "/"]
    assert told("http://example.org/b") == ["http", ["example.org", 80], "/b"]
    assert told("https://example.org/b") == ["https", ["example.org", 443], "/b"]
    assert told("http://example.org:8080") == ["http", ["example.org", 8080], "/"]
    assert told("//example.org/c") == ["http", ["example.org", 80], "/c"]
    assert told("/a", base_url="https://example.org") == ["https", ["example.org", 443], "/a"]
    assert told("a", base_url="http://testserver/api/") == ["http", ["testserver", 80], "/api/a"]
    assert told("/a", base_url="http://testserver/api/") == ["http", ["testserver", 80], "/a"]
    assert told("HTTP://EXAMPLE.org/B") == ["http", ["example.org", 80], "/B"]
    assert told("http://[::1]:8000/v6") == ["http", ["::1", 8000], "/v6"]
    with pytest.raises(requests.exceptions.InvalidSchema):
        make_client(mirror).get("ftp://example.org/")
    assert make_client(mirror).get("/a?b#fragment").url == "http://testserver/a?b#fragment"


def test_a_prepared_request(make_client: MakeClient) -> None:
    client = make_client(mirror)
    request = requests.Request("POST", "http://testserver/prepared", data=b"body", headers={"x-a": "1"})
    told = client.send(client.prepare_request(request)).json()
    assert (told["path"], told["body"], told["headers"]["x-a"]) == ("/prepared", "body", "1")
    assert client.send(request.prepare()).json()["headers"].get("user-agent") is None


# -- timeouts


def test_timeouts_as_requests_takes_them(make_client: MakeClient) -> None:
    client = make_client(mirror)
    for timeout in (None, 10, 10.0, (3.05, 27), (None, 10), (3.05, None), urllib3.Timeout(connect=1, read=10)):
        assert client.get("/", timeout=timeout).status_code == 200


def test_a_timeout_is_a_read_timeout(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    client = make_client(app)
    for timeout in (0.05, (5, 0.05)):
        with pytest.raises(requests.ReadTimeout) as caught:
            client.get("/", timeout=timeout)
        assert isinstance(caught.value, AppTimeout)
        assert caught.value.seconds == 0.05
        assert caught.value.request is not None
        assert caught.value.request.url == "http://testserver/"


# -- the session as such


def test_an_adapter_of_ones_own_for_a_part_of_the_world(make_client: MakeClient) -> None:
    class Fixed(requests.adapters.BaseAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            response = requests.Response()
            response.status_code = 299
            response.url = request.url or ""
            return response

        def close(self) -> None: ...

    client = make_client(mirror)
    client.mount("http://payments.example/", Fixed())
    assert client.get("http://payments.example/x").status_code == 299
    assert client.get("/").status_code == 200


def test_from_several_threads(make_client: MakeClient) -> None:
    client = make_client(mirror)
    found: list[str] = []

    def ask(number: int) -> None:
        found.extend(client.get(f"/{number}/{turn}").json()["path"] for turn in range(20))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == sorted(f"/{number}/{turn}" for number in range(4) for turn in range(20))
