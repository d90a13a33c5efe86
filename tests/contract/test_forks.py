"""A client met in a fork: by the app itself, or by a fork that the test makes. It starts an app there, and never waits
for a thread that is not there."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import trio

from isoclient import TestClient

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = [
    pytest.mark.modes("fork", "thread"),
    pytest.mark.backends("asyncio"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


async def respond(send: Send, text: object = "") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(text).encode()})


@pytest.mark.parametrize("isolation", ["one app", "an app for each request"])
def test_an_endpoint_that_uses_the_client_that_serves_it(cell: Cell, make_client: MakeClient, isolation: str) -> None:
    if isolation == "an app for each request" and not cell.isolated:
        return

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        def work() -> str:
            return client.get("/inner").text if scope["path"] == "/" else ""

        await respond(send, f"{os.getpid()} {await asyncio.to_thread(work)}")

    client = make_client(app, **({} if isolation == "one app" else {"isolated": "request"}))
    outer, inner = client.get("/").text.split()
    assert (outer != inner) is cell.isolated
    with client:
        outer, inner = client.get("/").text.split()
        assert (outer != inner) is cell.isolated


def in_a_fork(work: Callable[[], object]) -> str:
    """What this returns in a fork of this process, as text; empty if it does not within half a minute."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # whatever it waits for, it does not stay
        try:
            os.close(reading)
            os.write(writing, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        ready, _, _ = select.select([reading], [], [], 30)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return pipe.read().decode()


def test_a_fork_while_another_thread_starts_the_app(make_client: MakeClient) -> None:
    reached_reading, reached = os.pipe()
    gate, gate_writing = os.pipe()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await respond(send, os.getpid())
            return
        await receive()
        os.write(reached, b".")
        os.read(gate, 1)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    client = make_client(app)

    def work() -> list[Any]:
        os.write(gate_writing, b"." * 10)  # for all of them
        found = [client.get("/").text == str(client.pid), repr(client).startswith("<"), client.call(os.getppid)]
        client.restart()
        client.close()
        return found[:2]

    thread = threading.Thread(target=client.__enter__)
    thread.start()
    try:
        assert select.select([reached_reading], [], [], 30)[0]
        assert in_a_fork(work) == "[True, True]"
    finally:
        os.write(gate_writing, b".")
        thread.join(60)
        client.close()
        for descriptor in (reached_reading, reached, gate, gate_writing):
            os.close(descriptor)


def test_whatever_is_held_at_the_fork(make_client: MakeClient) -> None:
    """What was begun before the fork says that it is over, and does not wait."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, os.getpid())
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    client = make_client(app)
    session = client.websocket_connect("/")
    with session:
        connection = client._supervisor.copies[0].handle.connection
        locks = [connection.write_lock, connection.waiters._mutex, connection.receiving]
        held, may_end = threading.Event(), threading.Event()

        def hold() -> None:
            for lock in locks:
                lock.acquire()
            connection.writer = threading.get_ident()
            connection.lead.take()
            held.set()
            may_end.wait(60)
            connection.lead.give_back()
            connection.writer = 0
            for lock in locks:
                lock.release()

        def work() -> list[str]:
            found = []
            for attempt in (lambda: session.send_text("a"), session.receive_text, session.close):
                try:
                    attempt()
                except Exception as error:
                    found.append(type(error).__name__)
                else:
                    found.append("nothing")
            found.append(str(client.get("/").text == str(client.pid)))
            client.close()
            return found

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            assert held.wait(60)
            assert in_a_fork(work) == "['nothing', 'ConnectionError', 'nothing', 'True']"
        finally:
            may_end.set()
            thread.join(60)


def test_a_process_of_its_own_has_its_own_client() -> None:
    """The one that forked goes on with its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, os.getpid())

    with TestClient(app, isolated=True) as client:
        there = client.get("/").text
        assert in_a_fork(lambda: client.get("/").text != there) == "True"
        assert client.get("/").text == there


@pytest.mark.modes("fork")
def test_the_threads_that_another_loop_keeps_for_later(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Trio, up to version 0.27, which tests/lowest.txt has: newer ones see to it themselves."""
    monkeypatch.setattr("trio._core._thread_cache.IDLE_TIMEOUT", 2.0)  # of ten seconds, which the thread here stays for

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, await trio.to_thread.run_sync(os.getpid))

    assert trio.run(trio.to_thread.run_sync, os.getpid) == os.getpid()
    client = make_client(app, backend="trio", timeout=10)
    assert int(client.get("/").text) == client.pid
