"""Cookies and redirects are as requests has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests
import requests.auth

from tests.contract.mirror_app import mirror, read, respond

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


# -- cookies


def test_cookies_persist(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/login":
            cookies = [
                (b"set-cookie", b"session=42; Path=/; HttpOnly"),
                (b"set-cookie", b"theme=dark; Path=/; Expires=Wed, 01 Jan 2098 00:00:00 GMT"),
                (b"set-cookie", b"secret=1; Path=/; Secure"),
                (b"set-cookie", b"elsewhere=1; Path=/elsewhere"),
            ]
            await respond(send, b"", *cookies)
        elif scope["path"] == "/logout":
            await respond(send, b"", (b"set-cookie", b"session=; Path=/; Max-Age=0"))
        else:
            await respond(send, dict(scope["headers"]).get(b"cookie", b"none"))

    client = make_client(app)
    assert client.get("/").text == "none"
    login = client.get("/login")
    assert login.cookies["session"] == "42"
    assert login.cookies["theme"] == "dark"
    assert client.cookies["theme"] == "dark"
    assert set(client.get("/").text.split("; ")) == {"session=42", "theme=dark"}
    assert "elsewhere=1" in client.get("/elsewhere").text
    assert "secret=1" in client.get("https://testserver/").text
    assert client.get("http://other.example/").text == "none"
    client.get("/logout")
    assert client.get("/").text == "theme=dark"


def test_cookies_of_the_constructor_and_of_one_request(make_client: MakeClient) -> None:
    client = make_client(mirror, cookies={"a": "1"})
    assert client.get("/").json()["headers"]["cookie"] == "a=1"
    assert set(client.get("/", cookies={"b": "2"}).json()["headers"]["cookie"].split("; ")) == {"a=1", "b=2"}
    assert client.get("/").json()["headers"]["cookie"] == "a=1"
    jar = requests.cookies.RequestsCookieJar()
    jar.set("c", "3")
    assert make_client(mirror, cookies=jar).get("/").json()["headers"]["cookie"] == "c=3"


def test_cookies_of_a_streamed_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x", (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))

    client = make_client(app)
    with client.get("/", stream=True) as response:
        assert dict(response.cookies) == {"a": "1", "b": "2"}
    assert dict(client.cookies) == {"a": "1", "b": "2"}


# -- redirects


async def redirecting(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    if path.startswith("/status/"):
        status = int(path.rpartition("/")[2])
        headers = [(b"location", b"/end?from=%d" % status), (b"set-cookie", b"hop=%d; Path=/" % status)]
        await read(receive)
        await respond(send, b"moved", *headers, status=status)
    elif path == "/round":
        await respond(send, b"", (b"location", b"/round"), status=302)
    elif path == "/away":
        await respond(send, b"", (b"location", b"https://example.org/end"), status=302)
    else:
        await mirror(scope, receive, send)


def test_redirects(make_client: MakeClient) -> None:
    client = make_client(redirecting)
    for status, method, body in ((301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "data"),
                                 (308, "POST", "data")):  # fmt: skip
        response = client.post(f"/status/{status}", data=b"data")
        told = response.json()
        assert response.status_code == 200
        assert (told["method"], told["path"], told["query"], told["body"]) == (method, "/end", f"from={status}", body)
        assert told["headers"]["cookie"] == f"hop={status}"
        assert [(hop.status_code, hop.content, hop.url) for hop in response.history] == [
            (status, b"moved", f"http://testserver/status/{status}")
        ]
        assert response.url == f"http://testserver/end?from={status}"
    assert client.get("/away").json()["server"] == ["example.org", 443]


def test_redirects_with_auth_and_elsewhere(make_client: MakeClient) -> None:
    client = make_client(redirecting)
    here = client.get("/status/302", auth=("me", "secret")).json()["headers"]
    assert "authorization" in here
    away = client.get("/away", auth=("me", "secret")).json()["headers"]
    assert "authorization" not in away
    assert away["host"] == "example.org"


def test_redirects_that_are_not_followed(make_client: MakeClient) -> None:
    client = make_client(redirecting)
    response = client.get("/status/302", allow_redirects=False)
    assert (response.status_code, response.is_redirect, response.text) == (302, True, "moved")
    assert response.next is not None
    assert response.next.url == "http://testserver/end?from=302"
    assert client.head("/status/302").status_code == 302  # requests does not follow those
    assert client.head("/status/302", allow_redirects=True).status_code == 200
    staying = make_client(redirecting, follow_redirects=False)
    assert staying.get("/status/302").status_code == 302
    assert staying.get("/status/302", allow_redirects=True).status_code == 200
    assert staying.post("/status/307", data=b"x").status_code == 307


def test_redirects_without_end(make_client: MakeClient) -> None:
    client = make_client(redirecting)
    client.max_redirects = 5
    with pytest.raises(requests.TooManyRedirects):
        client.get("/round")


def test_a_streamed_redirect(make_client: MakeClient) -> None:
    with make_client(redirecting).get("/status/302", stream=True) as response:
        assert json.loads(b"".join(response.iter_content(7)))["path"] == "/end"
        assert [hop.content for hop in response.history] == [b"moved"]
