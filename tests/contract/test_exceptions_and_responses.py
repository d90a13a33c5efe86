"""An exception of the app beside its response: before it, amid it, in the place of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import requests

from tests.contract.test_exceptions import PaymentRefused, charge, checkout

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


def test_without_raising_it_is_an_empty_500(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raises":
            await checkout()

    client = make_client(app, raise_server_exceptions=False)
    for path in ("/raises", "/returns"):
        for stream in (False, True):
            response = client.get(path, stream=stream)
            assert (response.status_code, response.reason) == (500, "Internal Server Error")
            assert (response.content, response.raw.read(), dict(response.headers)) == (b"", b"", {})
            with pytest.raises(requests.HTTPError):
                response.raise_for_status()


@pytest.mark.modes("fork", "thread")
def test_a_response_of_the_app_for_its_exception(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await checkout()
        except PaymentRefused:
            await send({"type": "http.response.start", "status": 500})
            await send({"type": "http.response.body", "body": b"sorry"})
            raise

    with pytest.raises(PaymentRefused):
        make_client(app).get("/")
    response = make_client(app, raise_server_exceptions=False).get("/")
    assert (response.status_code, response.text) == (500, "sorry")


@pytest.mark.modes("fork", "thread")
def test_an_exception_amid_the_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        if scope["path"] == "/body":
            await send({"type": "http.response.body", "body": b"some", "more_body": True})
        await checkout()

    for path in ("/", "/body"):
        with pytest.raises(PaymentRefused):
            make_client(app).get(path)
    quiet = make_client(app, raise_server_exceptions=False)
    for path, content in (("/", b""), ("/body", b"some")):
        response = quiet.get(path)
        assert (response.status_code, response.headers["x-a"], response.content) == (200, "1", content)
        with quiet.get(path, stream=True) as response:
            assert (response.status_code, response.headers["x-a"]) == (200, "1")
            pieces = response.iter_content(None)
            assert b"".join(itertools.islice(pieces, 1 if content else 0)) == content
            with pytest.raises(requests.exceptions.ChunkedEncodingError, match="PaymentRefused") as caught:
                next(pieces)
            assert isinstance(caught.value.__cause__, PaymentRefused)


@pytest.mark.modes("fork", "thread")
def test_a_redirect_that_breaks_off_is_followed_by_who_does_not_care(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        moved = scope["path"] == "/old"
        await send(
            {"type": "http.response.start", "status": 302 if moved else 200, "headers": [(b"location", b"/new")]}
        )
        await send({"type": "http.response.body", "body": b"some", "more_body": moved})
        if moved:
            await checkout()

    client = make_client(app, raise_server_exceptions=False)
    for stream in (False, True):
        response = client.get("/old", stream=stream)
        assert (response.url, response.content) == ("http://testserver/new", b"some")


@pytest.mark.modes("fork", "thread")
def test_one_exception_object_again_and_again(make_client: MakeClient) -> None:
    error = PaymentRefused(1, reason="one object")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    client = make_client(app)
    for _ in range(3):
        with pytest.raises(PaymentRefused, match=r"payment refused \(1\)"):
            client.get("/")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_an_exception_from_a_redirects_target(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/old":
            await send({"type": "http.response.start", "status": 302, "headers": [(b"location", b"/new")]})
            await send({"type": "http.response.body"})
        else:
            charge(3)

    with pytest.raises(PaymentRefused):
        make_client(app).get("/old")
