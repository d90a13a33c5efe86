"""What patches requests is for what the app asks of others; the client, a session of requests, goes its own way."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest import mock

import pytest
import requests
import requests_mock

from isoclient import TestClient
from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]

TARGETS = [
    *(f"requests.{name}" for name in ("Request", "Response", "Session", "get", "post", "request", "api.request")),
    *(f"requests.Session.{name}" for name in ("__init__", "close", "delete", "get", "get_adapter", "mount", "patch")),
    *(f"requests.Session.{name}" for name in ("post", "prepare_request", "put", "rebuild_auth", "rebuild_method")),
    *(f"requests.Session.{name}" for name in ("merge_environment_settings", "request", "resolve_redirects", "send")),
    *(f"requests.Session.{name}" for name in ("get_redirect_target", "rebuild_proxies", "should_strip_auth")),
    *(f"requests.PreparedRequest.{name}" for name in ("copy", "prepare", "prepare_body", "prepare_headers")),
    *(f"requests.PreparedRequest.{name}" for name in ("prepare_method", "prepare_url")),
    *(f"requests.Response.{name}" for name in ("close", "content", "iter_content", "json", "raise_for_status", "text")),
    *(f"requests.adapters.HTTPAdapter.{name}" for name in ("__init__", "build_response", "send")),
    *(f"requests.models.{name}" for name in ("PreparedRequest", "Response", "complexjson.dumps", "complexjson.loads")),
    *(f"requests.sessions.{name}" for name in ("HTTPAdapter", "PreparedRequest", "Session", "dispatch_hook")),
    *(f"requests.sessions.{name}" for name in ("extract_cookies_to_jar", "merge_cookies", "merge_setting")),
]


class Refused:
    """Stands in for a function or a class."""

    def __new__(cls, *args: object, **kwargs: object) -> Refused:
        raise AssertionError("only the app may call this")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Redirects, or tells what came, or what another service has answered."""
    message = await receive()
    answer = message.get("body") or b"[]"
    if scope["path"] == "/forward":
        try:
            answer = requests.get("http://other.test/", timeout=5).content
        except Exception as error:
            answer = f'"{type(error).__name__}"'.encode()
    headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=b")]
    if scope["path"] == "/redirect":
        headers.append((b"location", b"/"))
    await send(
        {"type": "http.response.start", "status": 200 if scope["path"] != "/redirect" else 302, "headers": headers}
    )
    await send({"type": "http.response.body", "body": answer})


def use(client: TestClient) -> None:
    """A request of each kind that requests goes ways of its own for."""
    response = client.get("/redirect")
    response.raise_for_status()
    assert (response.json(), response.text, len(response.history)) == ([], "[]", 1)
    posted = client.post("/", json=[1], params={"b": "c"}, auth=("user", "password"), cookies={"d": "e"})
    assert posted.json() == [1]
    assert client.put("/", data={"f": "g"}).text == "f=g"
    with client.get("/", stream=True) as streamed:
        assert b"".join(streamed.iter_content(1)) == b"[]"


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_patched_in_requests_is_not_the_client(make_client: MakeClient, target: str) -> None:
    with mock.patch(target, Refused):
        client = make_client(app)
        assert isinstance(client, requests.sessions.SessionRedirectMixin)
        use(client)
        client.close()


@contextmanager
def mocked_send() -> Iterator[None]:
    response = requests.Response()
    response.status_code, response._content = 200, b'"from the mock"'
    with mock.patch("requests.Session.send", return_value=response):
        yield


@contextmanager
def mocked_by_requests_mock() -> Iterator[None]:
    with requests_mock.Mocker() as mocker:
        mocker.get("http://other.test/", text='"from the mock"')
        yield


@pytest.mark.parametrize("mocked", [mocked_send, mocked_by_requests_mock])
def test_the_app_gets_what_is_patched(make_client: MakeClient, cell: Cell, mocked: Callable[[], Any]) -> None:
    early = make_client(app)
    use(early)
    with mocked():
        client = make_client(app)
        use(client)
        assert client.get("/forward").json() == "from the mock"
        if not cell.isolated:
            assert early.get("/forward").json() == "from the mock"
    use(client)


def test_what_wraps_requests_sees_what_the_app_asks_alone(make_client: MakeClient, cell: Cell) -> None:
    """As instrumentation does."""
    seen: list[str] = []

    def send(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        seen.append(str(request.url))
        raise requests.ConnectionError("nobody is there")

    client = make_client(app)
    with mock.patch.object(requests.Session, "send", send):
        use(client)
        assert client.get("/forward").json() == "ConnectionError"
    assert seen == ([] if cell.is_fresh else ["http://other.test/"])


@pytest.mark.modes("thread")
def test_what_users_put_in_its_place_is_used(make_client: MakeClient) -> None:
    class Client(TestClient):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            calls.append("request")
            return super().request(*args, **kwargs)

        def send(self, *args: Any, **kwargs: Any) -> Any:
            calls.append("send")
            return super().send(*args, **kwargs)

    calls: list[str] = []
    with closing(Client(app)) as client:
        client.hooks["response"].append(lambda response, **_: calls.append("hook"))
        client.get("/")
        assert calls == ["request", "send", "hook"]
        mine = requests.Response()
        vars(client)["send"] = lambda *args, **kwargs: mine
        assert client.get("/") is mine  # type: ignore[comparison-overlap,unused-ignore]
    assert isinstance(make_client(app), requests.Session)


def test_a_response_and_its_request_are_those_of_requests(make_client: MakeClient) -> None:
    pickle = importlib.import_module("pickle")
    response = make_client(app).get("/")
    assert isinstance(response, requests.Response)
    assert isinstance(response.request, requests.PreparedRequest)
    again = pickle.loads(pickle.dumps(response))
    assert (again.text, again.request.url, response.request.copy().url) == ("[]", response.url, response.url)
