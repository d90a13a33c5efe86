"""An app that dies while nobody waits for it: that is told once, at the next use or at the end."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from isoclient import AppCrashed, TestClient
from isoclient.drive.blocking import read_until_lost
from tests.processes import wait_gone
from tests.reliability.handles import handle_of

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.backends("asyncio")

DEATHS: dict[str, tuple[Callable[[], object], int]] = {
    "/segv": (faulthandler._sigsegv, -signal.SIGSEGV),  # type: ignore[attr-defined]
    "/zero": (lambda: os._exit(0), 0),
    "/exit": (lambda: sys.exit(3), 3),
}
WAYS = pytest.mark.parametrize("path", DEATHS)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """It dies once its answer has gone out."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"alive"})
    if scope["path"] in DEATHS:
        asyncio.get_running_loop().call_soon(DEATHS[scope["path"]][0])


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@WAYS
@pytest.mark.parametrize("seen", [True, False])
def test_the_next_use_tells_it_once(make_client: MakeClient, path: str, seen: bool) -> None:
    client = make_client(app)
    pid = client.pid
    assert client.get(path).text == "alive"
    if seen:
        assert wait_gone(pid, 30)
    with pytest.raises(AppCrashed) as caught:
        client.get("/")
    assert (caught.value.pid, caught.value.exitcode) == (pid, DEATHS[path][1])
    assert client.get("/").text == "alive"
    assert client.pid != pid
    client.close()


@pytest.mark.rest("forkserver")
@pytest.mark.modes("fork", "forkserver")
@WAYS
@pytest.mark.parametrize("lifespan", [True, False])
def test_the_end_tells_it(make_client: MakeClient, path: str, lifespan: bool) -> None:
    client = make_client(app)
    if lifespan:
        client.__enter__()
    assert client.get(path).text == "alive"
    with pytest.raises(AppCrashed) as caught:
        client.close()
    assert caught.value.exitcode == DEATHS[path][1]
    client.close()


@pytest.mark.modes("fork")
def test_it_says_after_what(make_client: MakeClient) -> None:
    client = make_client(app)
    assert client.get("/zero").text == "alive"
    handle = handle_of(client)
    assert handle is not None
    assert wait_gone(handle.pid, 30)
    read_until_lost(handle.connection, 30)
    with pytest.raises(AppCrashed, match=r"called os\._exit\(0\) at .*, after handling GET /zero") as caught:
        client.get("/")
    assert "This call was not made" in caught.value.__notes__[0]


@pytest.mark.modes("fork")
def test_without_restart(make_client: MakeClient) -> None:
    client = make_client(app, restart=False)
    client.get("/segv")
    assert wait_gone(client.pid, 30)
    for _ in range(2):
        with pytest.raises(AppCrashed, match="SIGSEGV"):
            client.get("/")
    client.close()


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("ends", [True, False])
def test_sys_exit_in_a_task_of_the_app(make_client: MakeClient, ends: bool) -> None:
    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        async def leave() -> None:
            sys.exit(3)

        if scope["path"] == "/exit":
            tasks.append(asyncio.ensure_future(leave()))
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    tasks: list[asyncio.Future[None]] = []
    client = make_client(leaving)
    assert client.get("/exit").status_code == 204
    with pytest.raises(AppCrashed):
        client.close() if ends else client.get("/")
    assert client.get("/").status_code == 204


def test_a_client_that_is_dropped_warns() -> None:
    client = TestClient(app, isolated=True)
    client.get("/segv")
    clients = [client]
    del client
    with pytest.warns(RuntimeWarning, match="SIGSEGV after handling GET /segv"):
        clients.clear()


@WAYS
def test_a_process_for_each_request(path: str) -> None:
    with TestClient(app, isolated="request") as client:
        with pytest.raises(AppCrashed) as caught:
            client.get(path)
        assert caught.value.exitcode == DEATHS[path][1]
        assert client.get("/").text == "alive"
