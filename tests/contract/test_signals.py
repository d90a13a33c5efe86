"""Signals that the test's process has at their default, ignores or blocks: neither it nor its app suffers from that."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from isoclient import AppCrashed, TestClient
from isoclient.process import launch
from tests.processes import wait_gone

if TYPE_CHECKING:
    from tests.conftest import Cell, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork", "spawn", "forkserver"), pytest.mark.backends("asyncio")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    elif scope["path"] == "/exit":
        os._exit(3)
    elif scope["path"] == "/child":
        if (child := os.fork()) == 0:
            os._exit(4)
        await answer(send, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
    else:
        ignored = [number.name for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN]
        await answer(send, f"{ignored} {signal.pthread_sigmask(signal.SIG_BLOCK, ())}")


async def answer(send: Send, text: str) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": text.encode()})


def in_a_process(act: Callable[[], object]) -> None:
    """Act in a fork of this process, with a fork server of its own, and whatever it does to its signals."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(60)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has ignored
            act()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def use(cell: Cell) -> None:
    """An app dies, another one ends: both are seen at once."""
    with TestClient(app, **cell.options) as client:
        assert client.get("/").text == "['SIGPIPE', 'SIGXFSZ'] set()"
        assert client.get("/child").text == "4"
        with pytest.raises(AppCrashed, match="while handling GET /exit") as caught:
            client.get("/exit")
        assert caught.value.exitcode == 3 or signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        client.get("/")
        pid = client.pid
    assert wait_gone(pid, 30)


def test_sigpipe_at_its_default(cell: Cell) -> None:
    def act() -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        client = TestClient(app, **cell.options)
        websocket = client.websocket_connect("/")
        os.kill(client.pid, signal.SIGKILL)
        assert wait_gone(client.pid, 30)
        for _ in range(3):
            websocket.send_text("is anybody there?")
        with pytest.raises(AppCrashed):
            websocket.receive_text()
        use(cell)

    in_a_process(act)


@pytest.mark.modes("forkserver")
def test_sigpipe_at_its_default_and_the_fork_server_dead(cell: Cell) -> None:
    def act() -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        use(cell)
        pid = launch.fork_server.pid
        os.kill(pid, signal.SIGKILL)
        assert wait_gone(pid, 30)
        use(cell)

    in_a_process(act)


def test_signals_that_are_blocked(cell: Cell) -> None:
    def act() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        use(cell)

    in_a_process(act)


def test_signals_that_are_ignored(cell: Cell) -> None:
    def act() -> None:
        for number in (signal.SIGCHLD, signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        use(cell)

    in_a_process(act)
