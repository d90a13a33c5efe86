"""Nothing came in time: the error says where the app is; and the next request finds an app that works."""

from __future__ import annotations

import pickle
import threading
import time
from typing import TYPE_CHECKING

import anyio
import pytest
import requests

from isoclient import AppStartupError, AppTimeout
from isoclient.process.app_process import AppProcess
from isoclient.process.app_thread import AppThread
from isoclient.server.server import Server
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


async def never() -> None:
    await anyio.Event().wait()  # here it waits


async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/wait":
        await never()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"in time"})


def test_it_says_where_the_app_waits(make_client: MakeClient, cell: Cell) -> None:
    client = make_client(waiting)
    pid = client.pid
    assert client.get("/").text == "in time"
    with pytest.raises(AppTimeout) as caught:
        client.get("/wait", timeout=0.05)
    error = caught.value
    assert isinstance(error, requests.ReadTimeout)
    assert error.seconds == 0.05
    assert "0.05 s" in str(error)
    assert "GET /wait" in str(error)
    assert "in waiting" in error.tasks
    assert "in never" in error.tasks
    assert "here it waits" in error.tasks
    assert error.tasks.strip() in str(error)
    assert error.request is not None
    assert error.request.url == "http://testserver/wait"
    copied = pickle.loads(pickle.dumps(error))  # as a pool of processes would
    assert (str(copied), copied.tasks) == (str(error), error.tasks)
    # The loop works, so the process stays.
    assert client.get("/").text == "in time"
    assert client.pid == pid


@pytest.mark.modes("fork", "thread")
def test_the_call_that_is_late_is_ended(make_client: MakeClient) -> None:
    class App:
        ended = ""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            self.ended = (await receive())["type"]

    app = App()
    client = make_client(app)
    with pytest.raises(AppTimeout):
        client.get("/", timeout=0.05)
    eventually(lambda: client.call(lambda: app.ended))
    assert client.call(lambda: app.ended) == "http.disconnect"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_of_the_client_and_of_the_request(make_client: MakeClient) -> None:
    client = make_client(waiting)
    with pytest.raises(AppTimeout) as of_request:
        client.get("/wait", timeout=0.06)
    with pytest.raises(AppTimeout) as of_tuple:
        client.get("/wait", timeout=(3, 0.07))
    with pytest.raises(AppTimeout) as with_stream:
        client.get("/wait", timeout=0.08, stream=True)
    client.timeout = 0.05
    with pytest.raises(AppTimeout) as of_client:
        client.get("/wait")
    assert [caught.value.seconds for caught in (of_request, of_tuple, with_stream, of_client)] == [
        0.06,
        0.07,
        0.08,
        0.05,
    ]
    assert make_client(waiting, timeout=None).get("/").text == "in time"


@pytest.mark.modes("fork", "thread")
def test_amid_a_streamed_response(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await never()

    client = make_client(app)
    response = client.get("/", stream=True, timeout=0.05)
    pieces = response.iter_content(None)
    assert next(pieces) == b"one"
    with pytest.raises(AppTimeout) as caught:
        next(pieces)
    assert "in never" in caught.value.tasks
    response.close()


@pytest.mark.modes("fork", "thread")
@pytest.mark.usefixtures("short_grace")
def test_a_short_timeout_does_not_spoil_the_orderly_end(make_client: MakeClient) -> None:
    class App:
        cancelled = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            try:
                await never()
            except anyio.get_cancelled_exc_class():
                self.cancelled = True
                raise

    app = App()
    client = make_client(app)
    client.pid  # noqa: B018  # so that its start is none of the request's time
    with client.get("/", stream=True, timeout=0.2) as response:
        assert next(response.iter_content(None)) == b"one"
    assert client.call(lambda: app.cancelled)


@pytest.mark.modes("fork", "thread")
def test_an_upload_that_nobody_reads_while_nothing_is_answered(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await never()

    client = make_client(app)
    with pytest.raises(AppTimeout):
        client.post("/", data=bytes(20_000_000), timeout=0.1)


@pytest.mark.modes("fork", "thread")
def test_a_handshake_that_is_not_answered(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await never()

    # Had it that long, the end of the client would not wait for it, and would warn.
    monkeypatch.setattr(Server, "grace", 60.0)
    client = make_client(app)
    with pytest.raises(AppTimeout, match="WebSocket /chat") as caught:
        client.websocket_connect("/chat", timeout=0.05)
    assert "in never" in caught.value.tasks
    client.close()


@pytest.mark.modes("fork", "thread")
def test_a_startup_that_does_not_end(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await never()

    with pytest.raises(AppTimeout, match="startup") as caught, make_client(app, timeout=0.5):
        pytest.fail("the block must not run")
    assert "in never" in caught.value.tasks


@pytest.mark.modes("fork", "thread")
def test_a_shutdown_that_does_not_end(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await never()

    with pytest.raises(AppTimeout, match="shutdown") as caught, make_client(app, timeout=0.5):
        pass
    assert "in never" in caught.value.tasks


@pytest.mark.modes("fork", "forkserver")
def test_a_stuck_loop(make_client: MakeClient) -> None:
    lock_of_the_app = "made there"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stuck":
            assert lock_of_the_app
            threading.Event().wait()  # for ever, and the loop with it
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"in time"})

    client = make_client(app)
    pid = client.pid
    with pytest.raises(AppTimeout) as caught:
        client.get("/stuck", timeout=0.05)
    assert "in app" in caught.value.stack
    assert __file__ in caught.value.stack
    assert "stuck" in str(caught.value)
    # It could not be asked to end, so it was ended; the next use has a new one.
    assert client.get("/").text == "in time"
    assert client.pid != pid


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_a_stopped_process(make_client: MakeClient) -> None:
    import os
    import signal

    client = make_client(waiting)
    client.get("/")
    os.kill(client.pid, signal.SIGSTOP)
    with pytest.raises(AppTimeout):
        client.get("/", timeout=0.05)
    assert client.get("/").text == "in time"


@pytest.mark.modes("thread")
@pytest.mark.backends("asyncio", "trio")
def test_a_stuck_loop_in_a_thread(make_client: MakeClient) -> None:
    go_on = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stuck":
            go_on.wait()  # for as long as the test wants
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"in time"})

    client = make_client(app)
    try:
        with pytest.raises(AppTimeout) as caught:
            client.get("/stuck", timeout=0.05)
        assert "in app" in caught.value.stack
        assert client.get("/").text == "in time"  # in a thread of its own
    finally:
        go_on.set()


@pytest.mark.modes("fork", "forkserver", "thread")
@pytest.mark.backends("asyncio")
def test_a_short_timeout_is_none_for_the_start(make_client: MakeClient) -> None:
    def factory() -> object:
        time.sleep(1.3)
        return answering

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"in time"})

    client = make_client(factory, factory=True, timeout=1.0)
    assert client.call(len, bytes(4_000_000)) == 4_000_000  # more than the pipe takes before the app is there
    client.restart()
    assert client.get("/").text == "in time"


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_long_timeout_is_one_for_the_start(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    _start_in(0.1, monkeypatch)

    def factory() -> object:
        time.sleep(0.4)
        return waiting

    assert make_client(factory, factory=True).get("/").text == "in time"
    assert make_client(factory, factory=True, timeout=None).get("/").text == "in time"


def _start_in(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what the start of each app is given; a longer timeout of its client makes it longer."""
    monkeypatch.setattr(AppProcess, "start_time", seconds)
    monkeypatch.setattr(AppThread, "start_time", seconds)


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_an_app_that_is_not_ready_in_time(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    _start_in(0.3, monkeypatch)

    def factory() -> object:
        threading.Event().wait()  # for ever
        return waiting

    with pytest.raises(AppStartupError, match=r"not ready within 0\.3 s"):
        make_client(factory, factory=True, timeout=0.05).get("/")


@pytest.mark.modes("thread")
@pytest.mark.backends("asyncio")
def test_the_same_in_a_thread(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    _start_in(0.3, monkeypatch)
    go_on = threading.Event()

    def factory() -> object:
        go_on.wait()  # for as long as the test wants
        return waiting

    client = make_client(factory, factory=True, timeout=0.05)
    try:
        with pytest.raises(AppStartupError, match=r"not ready within 0\.3 s"):
            client.get("/")
    finally:
        go_on.set()


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_the_apps_own_exception_beats_the_timeout(make_client: MakeClient) -> None:
    # Both are there when the test looks: the generator takes longer than the request may.
    class App:
        raised = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.raised = True
            raise LookupError("the app's own")

    app = App()
    client = make_client(app)

    def body() -> object:
        yield b"one"
        eventually(lambda: client.call(lambda: app.raised))
        yield b"two"

    with pytest.raises(LookupError, match="the app's own"):
        client.post("/", data=body(), timeout=5)


class BrokenStream:
    """A standard stream of the test's that takes nothing."""

    def write(self, text: str) -> int:
        raise RuntimeError("it takes nothing")

    def flush(self) -> None:
        pass


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("stuck", [True, False])
def test_what_the_app_prints_can_not_be_passed_on(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    async def printing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            print("about to wait")
            if stuck:
                time.sleep(600)
            await never()
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    client = make_client(printing)
    pid = client.pid
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", BrokenStream())
        with pytest.raises(AppTimeout) as caught:
            client.get("/", timeout=1)
    assert "could not be passed on: RuntimeError('it takes nothing')" in caught.value.__notes__[0]
    client.get("/next")
    assert (client.pid == pid) == (not stuck)


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_an_infinite_timeout_is_no_limit(make_client: MakeClient) -> None:
    client = make_client(waiting, timeout=float("inf"))
    assert client.get("/").text == "in time"
    assert client.get("/", timeout=1e12).text == "in time"
