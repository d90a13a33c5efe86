"""The lifespan of an isolated app, over one copy of it after another, and its WebSockets: with Starlette's client."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from isoclient import AppCrashed, IsolatedApp
from isoclient.client.isolated_app import isolated_in_run
from tests.isolate.callers import starlette_client
from tests.isolate.conftest import MakeIsolated
from tests.isolate.relayed_app import Receive, Scope, Send, TooBad, app

pytestmark = pytest.mark.backends("asyncio")

each_mode = pytest.mark.modes("fork", "forkserver", "spawn")
forked = pytest.mark.modes("fork")


@each_mode
def test_its_state_is_in_each_scope_and_it_ends_in_order(
    make_isolated: MakeIsolated, capfd: pytest.CaptureFixture[str]
) -> None:
    isolated = make_isolated(app)
    with starlette_client(isolated) as client:
        assert client.get("/state").text == str(isolated.pid)
    assert isolated.pid != 0  # the lifespan is over, and the app is not
    isolated.close()
    assert capfd.readouterr().out == "shut down\n"
    assert isolated.pid == 0


@forked
def test_without_a_lifespan_there_is_no_state(make_isolated: MakeIsolated) -> None:
    assert starlette_client(make_isolated(app)).get("/state").text == "None"


@forked
def test_a_fresh_copy_has_it_too(make_isolated: MakeIsolated, capfd: pytest.CaptureFixture[str]) -> None:
    isolated = make_isolated(app)
    with starlette_client(isolated) as client:
        before = client.get("/state").text
        with pytest.raises(AppCrashed):
            client.get("/dies")
        assert client.get("/state").text == str(isolated.pid) != before
        isolated.restart()
        assert client.get("/state").text == str(isolated.pid)
    assert capfd.readouterr().out == "shut down\n" * 2  # one died


@forked
def test_one_within_another(make_isolated: MakeIsolated) -> None:
    started: list[int] = []

    async def numbered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            started.append(len(started) + 1)
            scope["state"]["number"] = started[-1]
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"%d" % scope["state"]["number"]})

    isolated = make_isolated(numbered)
    with starlette_client(isolated) as outer:
        assert outer.get("/").text == "1"
        with starlette_client(isolated) as inner:
            assert inner.get("/").text == "2"
        assert isolated.has_lifespan
        assert outer.get("/").text == "1"
    assert not isolated.has_lifespan


@forked
def test_one_that_ends_after_a_crash_ends_in_order(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)
    with starlette_client(isolated) as client, pytest.raises(AppCrashed):
        client.get("/dies")
    assert isolated.pid == 0


@forked
def test_a_death_that_nobody_was_told_of_is_told_at_its_end(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)
    with pytest.raises(AppCrashed, match=r"called os\._exit\(4\) at "), starlette_client(isolated):
        end_it(isolated)


def end_it(isolated: IsolatedApp) -> None:
    """It dies when it has answered."""
    pid = isolated.pid
    isolated.call(lambda: threading.Thread(target=os._exit, args=(4,)).start())
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
    raise TooBad("at startup")


@forked
def test_what_fails_in_it_is_for_its_owner_to_tell(make_isolated: MakeIsolated) -> None:
    with pytest.raises(TooBad), starlette_client(make_isolated(fails)):
        pass


@each_mode
def test_a_websocket(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)
    client: Any = starlette_client(isolated)
    with client.websocket_connect("/") as websocket:
        assert websocket.extra_headers == [(b"x-pid", b"%d" % isolated.pid)]
        websocket.send_text("ab")
        websocket.send_bytes(b"\0" * 100_000)
        assert websocket.receive_text() == "abab"
        assert websocket.receive_bytes() == b"\0" * 200_000
        websocket.send_text("close")
        assert websocket.receive() == {"type": "websocket.close", "code": 4002}


@forked
def test_a_websocket_that_the_client_closes(make_isolated: MakeIsolated, capfd: pytest.CaptureFixture[str]) -> None:
    with starlette_client(make_isolated(app)).websocket_connect("/") as websocket:
        websocket.send_text("ab")
        assert websocket.receive_text() == "abab"
    assert capfd.readouterr().out == "disconnected: 1000\n"


@forked
def test_an_exception_amid_a_websocket(make_isolated: MakeIsolated) -> None:
    client = starlette_client(make_isolated(app))
    with pytest.raises(TooBad, match="amid a WebSocket"), client.websocket_connect("/") as websocket:
        websocket.send_text("raise")


@forked
def test_a_websocket_that_the_app_refuses(make_isolated: MakeIsolated) -> None:
    client = starlette_client(make_isolated(app))
    with pytest.raises(WebSocketDisconnect) as refused:
        client.websocket_connect("/refused").__enter__()
    assert (refused.value.code, refused.value.reason) == (4001, "not today")


@forked
def test_a_process_for_each_request(capfd: pytest.CaptureFixture[str]) -> None:
    """As ``pytest --isolated=request`` has it: each with its lifespan, and gone when it has answered."""
    isolated = isolated_in_run(app, "request", "asyncio")
    with closing(isolated):
        client = starlette_client(isolated)
        assert client.get("/state").text == "None"
        pids = {int(client.post("/echo").headers["x-pid"]) for _ in range(3)}
        assert len(pids) == 3
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        with starlette_client(isolated) as client:
            pids = {int(client.get("/state").text) for _ in range(3)}
            assert len(pids) == 3
            with pytest.raises(TooBad):
                client.get("/raises")
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert capfd.readouterr().out == "shut down\n" * 5
