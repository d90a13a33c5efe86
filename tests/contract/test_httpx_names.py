"""``content=`` and ``follow_redirects=``: options of requests under the names that httpx gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from isoclient import TestClient
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
