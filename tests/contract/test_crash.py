"""The app's process dies. The test is told of what, with all that helps to understand it, and can go on."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import requests

from isoclient import AppCrashed, AppTimeout
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

ISOLATED = pytest.mark.modes("fork", "forkserver", "spawn")


def crash() -> None:
    faulthandler._sigsegv()  # type: ignore[attr-defined]


DEATHS: dict[str, tuple[Callable[[], object], int]] = {
    "/segv": (crash, -signal.SIGSEGV),
    "/abort": (lambda: os.abort(), -signal.SIGABRT),
    "/kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
    "/term": (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
    "/_exit": (lambda: os._exit(7), 7),
}

CALLS = {
    "/abort": "os.abort()",
    "/kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "/term": "os.kill(os.getpid(), signal.SIGTERM)",
    "/_exit": "os._exit(7)",
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] in DEATHS:
        print("last words", file=sys.stderr)
        DEATHS[scope["path"]][0]()
        await receive()
        await receive()  # a signal may take a moment
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"alive"})


@ISOLATED
@pytest.mark.backends("asyncio")
def test_each_death_is_told(make_client: MakeClient) -> None:
    client = make_client(app)
    for path, (_, exitcode) in DEATHS.items():
        pid = client.pid
        with pytest.raises(AppCrashed) as caught:
            client.get(path)
        error = caught.value
        assert isinstance(error, requests.ConnectionError)
        assert (error.pid, error.exitcode) == (pid, exitcode)
        assert error.signal == (signal.Signals(-exitcode) if exitcode < 0 else None)
        assert "last words" in error.stderr
        assert error.request is not None
        assert error.request.url == f"http://testserver{path}"
        assert f"GET {path}" in str(error)
        assert str(pid) in str(error)
        assert (f"called {CALLS[path]} at " if path in CALLS else "died of SIGSEGV at ") in str(error)
        # The next use starts a new process.
        assert client.get("/").text == "alive"
        assert client.pid != pid


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
def test_the_stack_of_a_crash_names_the_handler(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        crash()

    with pytest.raises(AppCrashed) as caught:
        make_client(crashing).get("/")
    assert "in crashing" in caught.value.stack
    assert __file__ in caught.value.stack
    assert "in crashing" in str(caught.value)


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_a_stack_that_was_told_before_is_none_of_the_crash(make_client: MakeClient) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await receive()
            await receive()
        elif scope["path"] == "/segv":
            crash()
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    client = make_client(late)
    for path, stacks in (("/kill", 0), ("/segv", 1)):
        with pytest.raises(AppTimeout) as caught:
            client.get("/late", timeout=0.05)
        assert "Current thread" in caught.value.stack
        with pytest.raises(AppCrashed) as crashed:
            client.get(path)
        assert crashed.value.stack.count("Current thread") == stacks


def test_sys_exit(make_client: MakeClient) -> None:
    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/exit":
            sys.exit(3)
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    client = make_client(leaving)
    for _ in range(3):
        with pytest.raises(AppCrashed) as caught:
            client.get("/exit")
        assert (caught.value.exitcode, caught.value.signal) == (3, None)
        assert isinstance(caught.value.__cause__, SystemExit)
        assert caught.value.request is not None
        assert client.get("/").status_code == 204


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("restart", [True, False])
def test_what_sys_exit_ends(make_client: MakeClient, cell: Cell, restart: bool) -> None:
    class App:
        startups = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await receive()
                self.startups += 1
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            elif scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                await receive()
                await receive()
                await send({"type": "websocket.send", "text": "still here"})
            else:
                sys.exit(3)

    app = App()
    with make_client(app, restart=restart) as client:
        pid = client.pid
        with client.websocket_connect("/") as bystander:
            with pytest.raises(AppCrashed) as caught:
                client.get("/exit")
            assert caught.value.exitcode == 3
            assert isinstance(caught.value.__cause__, SystemExit)
            assert re.match(r"the app called sys\.exit\(3\) at \S+:\d+ in __call__, while ", str(caught.value))
            if cell.isolated:
                assert f", while handling GET /exit (pid {pid})" in str(caught.value)
                with pytest.raises(AppCrashed):
                    bystander.receive_text()
            else:
                assert "the test's own, in which the app goes on" in str(caught.value)
                bystander.send_text("and you?")
                assert bystander.receive_text() == "still here"
        if cell.isolated and not restart:
            with pytest.raises(AppCrashed, match="restart=False"):
                client.call(int)
            client.restart()
        assert client.call(lambda: app.startups) == 1
        assert (client.pid == pid) == (not cell.isolated)


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio", "trio")
@pytest.mark.parametrize(("code", "exitcode"), [(None, 0), (0, 0), ("a text", 1), (256 + 4, 4)])
def test_the_codes_of_sys_exit(make_client: MakeClient, code: object, exitcode: int) -> None:
    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        sys.exit(code)  # type: ignore[arg-type]

    with pytest.raises(AppCrashed) as caught:
        make_client(leaving).get("/")
    assert caught.value.exitcode == exitcode


@pytest.mark.modes("fork", "thread")
def test_keyboard_interrupt(make_client: MakeClient) -> None:
    async def interrupted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            raise KeyboardInterrupt
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    client = make_client(interrupted)
    with pytest.raises(AppCrashed) as caught:
        client.get("/")
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)
    assert client.get("/next").status_code == 204


@pytest.mark.modes("fork", "thread")
def test_it_is_raised_whatever_raise_server_exceptions_says(make_client: MakeClient) -> None:
    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        sys.exit(3)

    with pytest.raises(AppCrashed):
        make_client(leaving, raise_server_exceptions=False).get("/")


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_amid_a_streamed_response(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await receive()
        if (await receive())["type"] == "http.request":
            return
        os._exit(7)

    client = make_client(crashing)
    response = client.get("/", stream=True)
    assert next(response.iter_content(None)) == b"one"
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(AppCrashed) as caught:
        response.iter_content(None).__next__()
    assert caught.value.signal == signal.SIGKILL
    response.close()


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
def test_what_it_had_sent_before_counts(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(200_000), "more_body": True})
        await receive()  # so that it goes out
        import anyio

        await anyio.sleep(0)
        os._exit(7)

    with make_client(crashing).get("/", stream=True) as response:
        size = 0
        pieces = response.iter_content(None)
        while size < 200_000:
            size += len(next(pieces))
        assert size == 200_000
        with pytest.raises(AppCrashed) as caught:
            next(pieces)
        assert caught.value.exitcode == 7


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_in_a_websocket(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/handshake":
            os._exit(8)
        await send({"type": "websocket.accept"})
        await receive()
        os._exit(7)

    client = make_client(crashing)
    with client.websocket_connect("/") as websocket:
        websocket.send_text("go")
        with pytest.raises(AppCrashed) as caught:
            websocket.receive_text()
    assert caught.value.exitcode == 7
    assert caught.value.request is not None
    with pytest.raises(AppCrashed) as caught:
        client.websocket_connect("/handshake")
    assert caught.value.exitcode == 8


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_in_the_lifespan(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if when == "startup":
            os._exit(7)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        os._exit(8)

    when = "startup"
    with pytest.raises(AppCrashed, match="startup") as caught, make_client(crashing):
        pytest.fail("the block must not run")
    assert caught.value.exitcode == 7
    when = "shutdown"
    with pytest.raises(AppCrashed, match="shutdown") as caught, make_client(crashing):
        pass
    assert caught.value.exitcode == 8


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_in_a_call(make_client: MakeClient) -> None:
    client = make_client(app)
    with pytest.raises(AppCrashed) as caught:
        client.call(lambda: os._exit(7))
    assert caught.value.exitcode == 7
    with pytest.raises(AppCrashed) as caught:
        client.call(sys.exit, 3)
    assert caught.value.exitcode == 3
    assert client.get("/").text == "alive"


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_while_it_is_loaded(make_client: MakeClient) -> None:
    def factory() -> object:
        os._exit(9)

    with pytest.raises(AppCrashed) as caught:
        make_client(factory, factory=True).get("/")
    assert caught.value.exitcode == 9

    def leaving() -> object:
        sys.exit(4)

    with pytest.raises(requests.ConnectionError):
        make_client(leaving, factory=True).get("/")


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_while_nothing_is_going_on(make_client: MakeClient) -> None:
    client = make_client(app)
    client.get("/")
    pid = client.pid
    os.kill(pid, signal.SIGKILL)
    # Whether the death is seen before the request goes out is a matter of luck; but it is not a matter of hanging.
    with contextlib.suppress(AppCrashed):
        client.get("/")
    assert client.get("/").text == "alive"
    assert client.pid != pid


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_everybody_who_waits_is_told(make_client: MakeClient) -> None:
    class App:
        waiting = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.waiting += 1
            await receive()
            await receive()

    waiting_app = App()
    client = make_client(waiting_app)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            client.get("/")
        except AppCrashed as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: client.call(lambda: waiting_app.waiting) >= 4)
    os.kill(client.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    assert [error.signal for error in errors if isinstance(error, AppCrashed)] == [signal.SIGKILL] * 4


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_the_next_use_runs_the_startup_again(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["started"] = os.getpid()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/crash":
            os._exit(7)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"%d" % scope["state"]["started"]})

    with make_client(crashing) as client:
        first = client.get("/").text
        with pytest.raises(AppCrashed):
            client.get("/crash")
        second = client.get("/").text
        assert second == str(client.pid)
        assert second != first


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_a_process_that_the_app_has_started_does_not_hide_its_death(make_client: MakeClient) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        import subprocess

        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False):
            os._exit(7)

    with pytest.raises(AppCrashed) as caught:
        make_client(crashing).get("/")
    assert caught.value.exitcode == 7
