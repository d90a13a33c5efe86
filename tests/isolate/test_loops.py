"""What event loops may do to an isolated app: stand still, end, leave calls behind; and what others do meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import requests
import trio
import uvloop

from isoclient import AppTimeout, IsolatedApp
from isoclient.system.modules import select
from isoclient.wire.mux import WINDOW
from tests.isolate.callers import Outer, http_scope, on_asyncio, on_trio
from tests.isolate.conftest import MakeIsolated
from tests.isolate.relayed_app import Receive, Scope, Send, app
from tests.waiting import eventually

pytestmark = [pytest.mark.modes("fork"), pytest.mark.backends("asyncio")]

WHOLE = {"type": "http.request", "body": b"", "more_body": False}
PIECE = 64 * 1024
sent = 0
uvloop.new_event_loop().close()  # the first one in a process opens a pipe for all of them, which stays


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    global sent
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * PIECE, "more_body": True})
        sent += PIECE


async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.Event().wait()


def bytes_sent() -> int:
    return sent


async def answer(isolated: IsolatedApp) -> bytes:
    outer = Outer(WHOLE)
    await isolated(http_scope("/unread"), outer.receive, outer.send)
    return outer.answer().body


class Waiting:
    """A call that waits for what will never come, on a loop of asyncio, from the moment on that its app waits."""

    def __init__(self, isolated: IsolatedApp) -> None:
        self.isolated = isolated
        self.asked = threading.Event()
        self.messages = [WHOLE]

    async def receive(self) -> dict[str, Any]:
        if self.messages:
            return self.messages.pop()
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: object) -> None:
        raise AssertionError

    async def run(self) -> None:
        await self.isolated(http_scope("/waits"), self.receive, self.send)

    async def begin(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.run())
        while not self.asked.is_set():
            await asyncio.sleep(0)
        return task


def test_a_slow_receiver_holds_the_app_back(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(endless)

    async def main() -> None:
        stop = asyncio.Event()

        async def send(message: object) -> None:
            await stop.wait()

        task = asyncio.create_task(isolated(http_scope("/"), Outer().receive, send))
        while isolated.call(bytes_sent) < WINDOW - PIECE:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
            assert isolated.call(bytes_sent) < WINDOW + 2 * PIECE
        stop.set()
        while isolated.call(bytes_sent) < 10 * WINDOW:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("on_loop", [on_asyncio, on_trio])
def test_a_loop_that_stands_still_holds_up_nobody(make_isolated: MakeIsolated, on_loop: Callable[..., Any]) -> None:
    isolated = make_isolated(app)
    stands_still, go_on = threading.Event(), threading.Event()

    async def standing_still() -> None:
        task = await Waiting(isolated).begin()
        other = asyncio.create_task(answer(isolated))
        await asyncio.sleep(0)
        stands_still.set()
        go_on.wait(60)
        assert await other == b"not read"
        task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(standing_still()))
    thread.start()
    try:
        assert stands_still.wait(60)
        assert on_loop(answer, isolated) == b"not read"
        assert isolated.call(pow, 2, 3) == 8
    finally:
        go_on.set()
        thread.join(60)


def test_a_loop_that_ends_cancels_what_is_left(make_isolated: MakeIsolated, capfd: pytest.CaptureFixture[str]) -> None:
    isolated = make_isolated(app)

    async def leaves_it() -> asyncio.Task[None]:
        return await Waiting(isolated).begin()

    assert asyncio.run(leaves_it()).cancelled()
    assert "got http.disconnect" in capfd.readouterr().out
    assert asyncio.run(answer(isolated)) == b"not read"


def test_a_loop_that_is_closed_amid_a_call(make_isolated: MakeIsolated, capfd: pytest.CaptureFixture[str]) -> None:
    isolated = make_isolated(app)
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(Waiting(isolated).begin())
    loop.set_exception_handler(lambda loop, context: None)  # "Task was destroyed but it is pending!"
    loop.close()
    del task
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the receive by hand, which nobody awaits any more
        gc.collect()

    def is_told() -> bool:
        isolated.call(int)  # which passes on what has been printed
        return "got http.disconnect" in capfd.readouterr().out

    eventually(is_told)
    assert asyncio.run(answer(isolated)) == b"not read"


def test_a_close_by_another_thread_ends_all_calls(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)
    waiting = Waiting(isolated)
    found: list[BaseException] = []

    async def main() -> None:
        try:
            await waiting.run()
        except requests.ConnectionError as error:
            found.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert waiting.asked.wait(60)
    isolated.close()
    thread.join(60)
    assert str(*found) == "the client was closed while handling GET /waits"
    assert asyncio.run(answer(isolated)) == b"not read"


def test_a_close_on_the_loop_itself_ends_all_calls(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)

    async def main() -> None:
        tasks = [await Waiting(isolated).begin() for _ in range(3)]
        isolated.close()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {str(end) for end in ends} == {"the client was closed while handling GET /waits"}
        assert await answer(isolated) == b"not read"

    asyncio.run(main())


def test_a_blocking_call_amid_those_that_are_awaited(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)

    async def main() -> None:
        task = await Waiting(isolated).begin()
        for _ in range(20):
            assert isolated.call(pow, 2, 3) == 8
            assert await answer(isolated) == b"not read"
        with isolated.patched("os.getcwd", return_value="/elsewhere") as getcwd:
            assert isolated.call(lambda: __import__("os").getcwd()) == "/elsewhere"
            assert getcwd.called
        task.cancel()

    asyncio.run(main())


def test_who_waits_for_who_calls_is_not_late(make_isolated: MakeIsolated) -> None:
    """The app has its time again from the moment on that it has what it has waited for."""
    isolated = make_isolated(app)
    asyncio.run(answer(isolated))
    isolated.timeout = 0.2

    async def main() -> None:
        outer = Outer({"type": "http.request", "body": b"", "more_body": True}, WHOLE)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.5)  # for a deadline to pass
            return await outer.receive()

        await isolated(http_scope("/echo"), receive, outer.send)
        assert outer.answer().status == 201

    asyncio.run(main())


@pytest.mark.parametrize("on_loop", [on_asyncio, on_trio])
def test_each_of_many_that_wait_has_its_own_deadline(make_isolated: MakeIsolated, on_loop: Callable[..., Any]) -> None:
    """Whoever reads for all of them looks at the clock for all, also with much more time itself."""
    isolated = make_isolated(hanging, timeout=60)
    asked: anyio.Event

    async def receive() -> dict[str, Any]:
        asked.set()
        return WHOLE

    async def call() -> None:
        await isolated(http_scope("/"), receive, Outer().send)

    async def call_in_vain() -> None:
        with pytest.raises(AppTimeout):
            await call()

    async def main() -> None:
        nonlocal asked
        asked = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await asked.wait()
            isolated.timeout = 0.3
            with anyio.fail_after(20):
                async with anyio.create_task_group() as others:
                    for _ in range(2):
                        others.start_soon(call_in_vain)
            group.cancel_scope.cancel()

    on_loop(main)


@pytest.mark.backends("asyncio", "uvloop", "trio")
def test_any_loop_here_and_there(make_isolated: MakeIsolated) -> None:
    isolated = make_isolated(app)
    assert asyncio.run(answer(isolated)) == b"not read"
    assert trio.run(answer, isolated) == b"not read"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(answer(isolated)) == b"not read"


def test_a_platform_without_epoll(make_isolated: MakeIsolated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    isolated = make_isolated(app)
    body = os.urandom(1024) * 5000
    for on_loop in (on_asyncio, on_trio):
        outer = Outer({"type": "http.request", "body": body, "more_body": False})
        on_loop(isolated, http_scope("/echo"), outer.receive, outer.send)
        assert outer.answer().body == body
        assert on_loop(forty_at_once, isolated, on_loop) == {b"not read"}


async def forty_at_once(isolated: IsolatedApp, on_loop: Any) -> set[bytes]:
    if on_loop is on_asyncio:
        return set(await asyncio.gather(*(answer(isolated) for _ in range(40))))
    found: set[bytes] = set()

    async def add() -> None:
        found.add(await answer(isolated))

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(add)
    return found


def test_without_a_loop_it_says_so(make_isolated: MakeIsolated) -> None:
    call = make_isolated(app)(http_scope("/"), Outer().receive, Outer().send)
    with pytest.raises(RuntimeError, match="no running event loop"):
        call.send(None)
