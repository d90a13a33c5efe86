"""``stream=True``: the body as the app sends it, held back while nobody reads; and bodies of any size, both ways."""

from __future__ import annotations

import gc
import itertools
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import requests

from isoclient import ClientDisconnected, TestClient

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


async def settle() -> None:
    """Let every task of the loop come to a stand."""
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


def test_each_event_comes_as_the_app_sends_it(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.may_send = 1

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/more":
                self.may_send += 1
                await send({"type": "http.response.start", "status": 204})
                await send({"type": "http.response.body"})
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
            for number in range(3):
                while self.may_send <= number:
                    await anyio.sleep(0.001)
                await send({"type": "http.response.body", "body": b"piece %d" % number, "more_body": number < 2})

    client = make_client(App())
    with client.get("/", stream=True) as response:
        assert (response.status_code, response.headers["x-a"]) == (200, "1")
        pieces = response.iter_content(None)
        # The app sends each piece only after the test has asked for it, by another request.
        assert next(pieces) == b"piece 0"
        client.get("/more")
        assert next(pieces) == b"piece 1"
        client.get("/more")
        assert next(pieces) == b"piece 2"
        assert next(pieces, None) is None


def test_it_returns_at_the_start_of_the_response(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.go_on = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "more_body": True})
            while not self.go_on:
                await anyio.sleep(0.001)
            await send({"type": "http.response.body", "body": b"at last"})

    app = App()
    client = make_client(app)
    with client.get("/", stream=True) as response:
        assert response.status_code == 200
        client.call(setattr, app, "go_on", True)
        assert response.content == b"at last"


def test_an_endless_response_is_usable(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in itertools.count():
            event = b"id: %d\ndata: tick\n\n" % number
            await send({"type": "http.response.body", "body": event, "more_body": True})

    with make_client(app).get("/events", stream=True) as response:
        lines = response.iter_lines()
        for number in range(500):
            assert [next(lines), next(lines), next(lines)] == [b"id: %d" % number, b"data: tick", b""]


def test_an_endless_response_is_held_back(make_client: MakeClient) -> None:
    piece = 64 * 1024

    class App:
        def __init__(self) -> None:
            self.sent = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            while True:
                await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
                self.sent += 1

    app = App()

    async def sent() -> int:
        before = -1
        while before != app.sent:
            before = app.sent
            await settle()
        return before

    client = make_client(app)
    with client.get("/", stream=True) as response:
        pieces = response.iter_content(None)
        next(pieces)
        # It does come to a stand, and not far away.
        first = client.call(sent)
        assert 1 <= first * piece <= 8 * 1024 * 1024
        assert client.call(sent) == first
        for _ in range(200):
            assert len(next(pieces)) == piece
        # Reading lets it go on, by about as much as was read.
        second = client.call(sent)
        assert second > first
        assert (second - 200) * piece <= 8 * 1024 * 1024


@pytest.mark.modes("fork", "thread")
def test_endless_small_and_empty_events_are_held_back_too(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.sent = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            body = scope["path"].strip("/").encode()
            await send({"type": "http.response.start", "status": 200})
            while True:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                self.sent += 1

    app = App()

    async def sent() -> int:
        before = -1
        while before != app.sent:
            before = app.sent
            await settle()
        return before

    client = make_client(app)
    for path in ("/x", "/"):
        client.call(setattr, app, "sent", 0)
        with client.get(path, stream=True):
            assert 1 <= client.call(sent) < 100_000


def test_close_reaches_the_app_as_a_disconnect(make_client: MakeClient) -> None:
    class App:
        received = ""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            self.received = (await receive())["type"]

    app = App()
    client = make_client(app)
    response = client.get("/", stream=True)
    assert next(response.iter_content(None)) == b"first"
    response.close()
    assert client.call(lambda: app.received) == "http.disconnect"


def test_after_it_send_raises_oserror(make_client: MakeClient) -> None:
    class App:
        caught: tuple[str, ...] = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            except OSError as error:
                self.caught = type(error).__name__, (await receive())["type"]
                raise

    app = App()
    client = make_client(app)
    with client.get("/", stream=True) as response:
        next(response.iter_content(None))
    assert client.call(lambda: app.caught) == (ClientDisconnected.__name__, "http.disconnect")


@pytest.mark.usefixtures("short_grace")
def test_an_app_that_does_not_end_then_is_cancelled(make_client: MakeClient) -> None:
    class App:
        cancelled = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            try:
                await anyio.Event().wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled = True
                raise

    app = App()
    client = make_client(app)
    with client.get("/", stream=True) as response:
        next(response.iter_content(None))
    assert client.call(lambda: app.cancelled)
    assert client.get("/", stream=True).status_code == 200


@pytest.mark.modes("fork", "thread")
def test_what_the_app_raises_because_of_the_close_is_not_lost(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await receive()
        raise LookupError("in the clean-up")

    client = make_client(app)
    response = client.get("/", stream=True)
    with pytest.raises(LookupError, match="in the clean-up"):
        response.close()
    response.close()


def test_an_exception_comes_where_the_body_breaks_off(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        raise LookupError("no three")

    with make_client(app).get("/", stream=True) as response:
        pieces = response.iter_content(None)
        assert [next(pieces), next(pieces)] == [b"one", b"two"]
        with pytest.raises(LookupError, match="no three"):
            next(pieces)
    # It was raised once; leaving the block does not raise it again.


def test_an_exception_before_the_start(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("no start")

    with pytest.raises(LookupError, match="no start"):
        make_client(app).get("/", stream=True)
    assert make_client(app, raise_server_exceptions=False).get("/", stream=True).status_code == 500


@pytest.mark.modes("fork", "thread")
def test_an_exception_of_a_background_task_comes_at_the_end_of_the_body(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"whole"})
        await anyio.lowlevel.checkpoint()
        raise LookupError("the background task")

    with make_client(app).get("/", stream=True) as response:
        pieces = response.iter_content(None)
        assert next(pieces) == b"whole"
        with pytest.raises(LookupError, match="the background task"):
            next(pieces)


def test_an_unread_stream_does_not_hold_up_another(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        more = scope["path"] == "/endless"
        while True:
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": more})
            if not more:
                return

    client = make_client(app)
    with client.get("/endless", stream=True) as one, client.get("/endless", stream=True) as two:
        for _ in range(20):
            assert len(client.get("/").content) == 100_000
        assert len(next(one.iter_content(None))) == 100_000
        assert len(next(two.iter_content(None))) == 100_000


@pytest.mark.modes("fork", "thread")
def test_the_client_is_closed_over_an_open_stream(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})

    client = make_client(app)
    response = client.get("/", stream=True)
    pieces = response.iter_content(None)
    next(pieces)
    client.close()
    with pytest.raises(requests.ConnectionError, match="the client was closed"):
        deque(pieces, 0)
    response.close()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_response_outlives_the_tests_reference_to_the_client(cell: Cell) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await receive()
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            await anyio.sleep(0)
        await send({"type": "http.response.body"})

    with TestClient(app, timeout=30, **cell.options).get("/", stream=True) as response:
        assert response.content == b"012"
    del response
    gc.collect()


def test_a_generator_is_sent_as_it_produces(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.received: list[tuple[bytes, bool]] = []

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            more = True
            while more:
                message = await receive()
                more = message["more_body"]
                self.received.append((message["body"], more))
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    app = App()
    client = make_client(app)

    async def wait_for(count: int) -> list[tuple[bytes, bool]]:
        while len(app.received) < count:
            await anyio.sleep(0.001)
        return list(app.received)

    def body() -> Iterator[bytes]:
        yield b"one"
        # The app has it while the generator has not gone on yet.
        assert client.call(wait_for, 1) == [(b"one", True)]
        yield b"two"
        assert client.call(wait_for, 2) == [(b"one", True), (b"two", True)]

    client.post("/", data=body())
    received = client.call(lambda: app.received)
    assert received[:2] == [(b"one", True), (b"two", True)]
    assert received[-1][1] is False
    assert b"".join(piece for piece, _ in received) == b"onetwo"


@pytest.mark.modes("fork", "thread")
def test_a_generator_that_raises(make_client: MakeClient) -> None:
    class App:
        received: tuple[str, ...] = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            while True:
                message = await receive()
                self.received += (message["type"],)
                if message["type"] == "http.disconnect":
                    return

    app = App()
    client = make_client(app)

    async def wait_for(kind: str) -> None:
        while kind not in app.received:
            await anyio.sleep(0.001)

    def body() -> Iterator[bytes]:
        yield b"one"
        client.call(wait_for, "http.request")
        raise LookupError("the test's own")

    with pytest.raises(LookupError, match="the test's own"):
        client.post("/", data=body())
    client.call(wait_for, "http.disconnect")
    assert client.call(lambda: app.received) == ("http.request", "http.disconnect")


def test_an_upload_is_held_back(make_client: MakeClient) -> None:
    piece = 64 * 1024

    class App:
        def __init__(self) -> None:
            self.go_on = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            while not self.go_on:
                await anyio.sleep(0.001)
            size, more = 0, True
            while more:
                message = await receive()
                size, more = size + len(message["body"]), message["more_body"]
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"%d" % size})

    app = App()
    client = make_client(app)
    produced = itertools.count(1)
    at_most = 8 * 1024 * 1024 // piece
    stalled = threading.Event()

    def body() -> Iterator[bytes]:
        for _ in range(400):
            if next(produced) > at_most:
                stalled.set()  # too much was taken from the generator before the app had read any of it
            yield bytes(piece)

    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(client.post("/", data=body()).content))
    thread.start()
    try:
        for _ in range(20):  # it comes to a stand while others are served
            client.call(settle)
        assert not stalled.is_set()
    finally:
        client.call(setattr, app, "go_on", True)
        thread.join(30)
    assert results == [b"%d" % (400 * piece)]


def test_ten_megabytes_both_ways(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pieces, more = [], True
        while more:
            message = await receive()
            pieces.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"".join(pieces)})

    data = bytes(range(256)) * 40_000
    assert make_client(app).post("/", data=data).content == data


def test_an_echo_while_the_upload_goes_on(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    client = make_client(app)
    data = bytes(range(256)) * 40_000
    assert client.post("/", data=data).content == data
    with client.post("/", data=iter([data[:100_000]] * 100), stream=True) as response:
        assert response.content == data[:100_000] * 100


@pytest.mark.modes("fork", "thread")
def test_many_small_pieces_both_ways(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    pieces = [b"%d," % number for number in range(20_000)]
    assert make_client(app).post("/", data=iter(pieces)).content == b"".join(pieces)


@pytest.mark.modes("fork", "thread")
def test_the_last_body_of_a_stream_that_is_closed_early(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"whole"})

    client = make_client(app)
    response = client.get("/", stream=True)
    response.close()
    assert client.get("/").content == b"whole"
    with client.get("/", stream=True):
        pass
