"""What an app may do to the event loop that it shares with us, and to its tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from isoclient.server.calls.http import HTTPCall

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = pytest.mark.backends("asyncio", "uvloop")


async def answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def kept_requests() -> int:
    gc.collect()
    return sum(issubclass(type(thing), HTTPCall) for thing in gc.get_objects())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_requests_in_eager_tasks_are_not_kept(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/later":
            await asyncio.sleep(0)
        await answer(send)

    def be_eager() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]

    client = make_client(app)
    client.call(be_eager)
    for path in ("/", "/later") * 3:
        client.get(path)
    assert client.call(kept_requests) == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_what_an_eager_task_sends_is_not_held_while_it_waits_for_the_test(make_client: MakeClient) -> None:
    read = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await read.wait()
        await send({"type": "http.response.body", "body": b"second"})

    def be_eager() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        loop.call_later(0.1, os.write, ready, b"!")  # when it looks no more for what this call has changed

    is_ready, ready = os.pipe()
    client = make_client(app)
    client.call(be_eager)
    os.read(is_ready, 1)
    response = client.get("/", stream=True)
    pieces = response.iter_content(None)
    assert next(pieces) == b"first"
    read.set()
    assert next(pieces) == b"second"
    os.close(is_ready)
    os.close(ready)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_an_eager_task_that_waits_for_what_never_comes_is_ended(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "by intent"})
            await receive()

    def eager_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        return loop

    with pytest.raises(Exception, match="by intent"), make_client(app, backend_options={"loop_factory": eager_loop}):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "thread")
def test_a_task_factory_that_fails(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)

    def fail() -> None:
        def factory(loop: asyncio.AbstractEventLoop, coroutine: object, **options: object) -> Any:
            loop.set_task_factory(None)  # its end takes tasks, too
            raise RuntimeError("no tasks today")

        asyncio.get_running_loop().set_task_factory(factory)

    client = make_client(app)
    client.call(fail)
    with pytest.raises(RuntimeError, match="no tasks today"):
        client.get("/")


@pytest.mark.modes("fork", "thread")
@pytest.mark.parametrize("waits", [True, False])
def test_an_app_may_cancel_all_tasks_in_its_shutdown(
    make_client: MakeClient, waits: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            background.append(asyncio.ensure_future(asyncio.sleep(600)))
            await answer(send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if waits:
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)
        print("cancelled:", len(tasks))
        await send({"type": "lifespan.shutdown.complete"})

    background: list[asyncio.Future[Any]] = []
    with make_client(app) as client:
        client.get("/")
    assert capfd.readouterr().out == "cancelled: 1\n"  # none of ours


@pytest.mark.modes("fork", "thread")
def test_its_own_task_among_them_is_its_own_error(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(0)

    client = make_client(app)
    client.__enter__()
    with pytest.raises(asyncio.CancelledError):
        client.close()
