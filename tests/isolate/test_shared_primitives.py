"""A test and its app wait for each other amid a call, by events, cancel scopes and queues that the test has made."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import anyio
import httpx
import pytest
import trio
from starlette.testclient import TestClient as OfStarlette

from isoclient import IsolatedApp
from tests.conftest import Cell
from tests.isolate.callers import on_asyncio, on_trio
from tests.isolate.conftest import MakeIsolated
from tests.isolate.relayed_app import Receive, Scope, Send

pytestmark = pytest.mark.modes("fork")
on_both = pytest.mark.backends("asyncio", "trio")
on_asyncio_alone = pytest.mark.backends("asyncio")

EVENTS: dict[str, list[Callable[[], Any]]] = {
    "asyncio": [asyncio.Event, anyio.Event, threading.Event],
    "trio": [trio.Event, anyio.Event, threading.Event],
}


def client_of(isolated: IsolatedApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(isolated), base_url="http://test")


async def answer(send: Send, body: object = "ok") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(body).encode()})


async def until_set(event: Any) -> None:
    if isinstance(event, threading.Event):
        while not event.is_set():
            await anyio.sleep(0.001)
    else:
        await event.wait()


@pytest.fixture
def run(cell: Cell) -> Callable[..., Any]:
    """Runs a test on an event loop of the same kind as that of the app."""
    return on_trio if cell.backend == "trio" else on_asyncio


@on_both
@pytest.mark.parametrize("kind", range(3))
def test_each_waits_for_the_other(make_isolated: MakeIsolated, run: Callable[..., Any], kind: int) -> None:
    async def main() -> None:
        make = EVENTS["trio" if run is on_trio else "asyncio"][kind]
        entered, release = make(), make()
        calls: list[str] = []
        active = 0

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal active
            active += 1
            calls.append(scope["path"])
            if len(calls) == 3:
                entered.set()
            await until_set(release)
            active -= 1
            await answer(send)

        answers: list[str] = []

        async def ask(path: str) -> None:
            answers.append((await client.get(path)).text)

        async with client_of(make_isolated(app)) as client, anyio.create_task_group() as group:
            with anyio.fail_after(10):
                for number in range(3):
                    group.start_soon(ask, f"/{number}")
                await until_set(entered)
                assert sorted(calls) == ["/0", "/1", "/2"]
                assert active == 3
                assert answers == []
                release.set()
        assert answers == ["ok"] * 3
        assert active == 0

    run(main)


@on_both
def test_what_the_test_changes_meanwhile_the_app_sees(make_isolated: MakeIsolated, run: Callable[..., Any]) -> None:
    async def main() -> None:
        entered, release = anyio.Event(), anyio.Event()
        stock = {"tea": 1}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            entered.set()
            await release.wait()
            await answer(send, stock["tea"])

        async def change() -> None:
            await entered.wait()
            stock["tea"] = 2
            release.set()

        async with client_of(make_isolated(app)) as client, anyio.create_task_group() as group:
            group.start_soon(change)
            assert (await client.get("/")).text == "2"

    run(main)


@on_both
def test_one_that_was_set_before(make_isolated: MakeIsolated, run: Callable[..., Any]) -> None:
    async def main() -> None:
        release = anyio.Event()
        release.set()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await release.wait()
            await answer(send)

        async with client_of(make_isolated(app)) as client:
            assert (await client.get("/")).text == "ok"

    run(main)


@on_asyncio_alone
def test_an_event_of_asyncio_is_set_and_cleared(make_isolated: MakeIsolated) -> None:
    async def main() -> None:
        turn = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert not turn.is_set()
            turn.set()
            while turn.is_set():  # until it is the app's turn again
                await asyncio.sleep(0.001)
            await answer(send)

        async with client_of(make_isolated(app)) as client:
            for _ in range(2):
                asked = asyncio.create_task(client.get("/"))
                await asyncio.wait_for(turn.wait(), 10)
                assert not asked.done()
                turn.clear()
                assert (await asked).text == "ok"

    on_asyncio(main)


@on_asyncio_alone
def test_an_app_that_never_stops_sending_hears_that_it_is_to_stop(make_isolated: MakeIsolated) -> None:
    stop = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not stop.is_set():
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async def main() -> None:
        messages: list[dict[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            messages.append(dict(message))
            if len(messages) == 100:
                stop.set()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        await make_isolated(app)({"type": "http", "path": "/", "method": "GET", "headers": []}, receive, send)
        assert messages[-1]["body"] == b"end"

    on_asyncio(main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the body of HTTPX's, under Trio
@on_both
def test_the_app_cancels_what_waits_for_it(make_isolated: MakeIsolated, run: Callable[..., Any]) -> None:
    async def main() -> None:
        scope_of_test = anyio.CancelScope()
        ended: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope_of_test.cancel()
            while (message := await receive())["type"] == "http.request":
                pass
            ended.append(message["type"])

        async with client_of(make_isolated(app)) as client:
            with scope_of_test:
                await client.get("/")
            assert scope_of_test.cancelled_caught
        assert ended == ["http.disconnect"]

    run(main)


@on_both
def test_what_a_cancelled_call_does_at_its_end_the_test_sees(
    make_isolated: MakeIsolated, run: Callable[..., Any]
) -> None:
    async def main() -> None:
        entered = anyio.Event()
        done: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                entered.set()
                await anyio.sleep_forever()
            finally:
                done.append("cleanup")

        async with client_of(make_isolated(app)) as client, anyio.create_task_group() as group:
            group.start_soon(client.get, "/")
            await entered.wait()
            group.cancel_scope.cancel()
        assert done == ["cleanup"]

    run(main)


@on_asyncio_alone
def test_a_task_of_the_lifespan_sets_one(make_isolated: MakeIsolated) -> None:
    begun, done = threading.Event(), threading.Event()

    async def work() -> None:
        await asyncio.to_thread(begun.wait, 10)
        done.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.create_task(work())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await task
        await send({"type": "lifespan.shutdown.complete"})

    with OfStarlette(make_isolated(app)):
        begun.set()
        assert done.wait(10)


@on_asyncio_alone
def test_an_event_of_another_loop_wakes_that(make_isolated: MakeIsolated) -> None:
    async def main() -> None:
        entered = asyncio.Event()
        release = threading.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            entered.set()
            while not release.is_set():
                await asyncio.sleep(0.001)
            await answer(send)

        client = OfStarlette(make_isolated(app))
        asked = asyncio.create_task(asyncio.to_thread(client.get, "/"))
        await asyncio.wait_for(entered.wait(), 10)
        assert not asked.done()
        release.set()
        assert (await asked).text == "ok"

    on_asyncio(main)


@on_asyncio_alone
def test_what_the_test_puts_into_a_queue_the_app_takes(make_isolated: MakeIsolated) -> None:
    async def main() -> None:
        asked: asyncio.Queue[Any] = asyncio.Queue(maxsize=2)
        told: asyncio.Queue[Any] = asyncio.Queue()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (item := await asked.get()) is not None:
                await told.put({"of": item})
                asked.task_done()
            asked.task_done()
            await answer(send)

        async with client_of(make_isolated(app)) as client:
            asking = asyncio.create_task(client.get("/"))
            for item in ("tea", "rum", "milk"):
                await asyncio.wait_for(asked.put(item), 10)
                assert await asyncio.wait_for(told.get(), 10) == {"of": item}
            await asked.put(None)
            assert (await asking).text == "ok"
            await asyncio.wait_for(asked.join(), 10)
        assert (asked.qsize(), told.qsize()) == (0, 0)

    on_asyncio(main)


@on_asyncio_alone
def test_threads_have_a_queue_too(make_isolated: MakeIsolated) -> None:
    asked: queue.Queue[str] = queue.Queue()
    told: queue.Queue[str] = queue.Queue()
    asked.put("first")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            told.put("a " + await asyncio.to_thread(asked.get, timeout=10))
        await answer(send)

    client = OfStarlette(make_isolated(app))
    thread = threading.Thread(target=client.get, args=("/",))
    thread.start()
    assert told.get(timeout=10) == "a first"
    asked.put("second")
    assert told.get(timeout=10) == "a second"
    thread.join()
    assert asked.empty()


@on_asyncio_alone
def test_nothing_is_lost_of_what_comes_faster_than_it_is_told(make_isolated: MakeIsolated) -> None:
    async def main() -> None:
        asked: asyncio.Queue[Any] = asyncio.Queue()
        told: asyncio.Queue[Any] = asyncio.Queue()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (item := await asked.get()) is not None:
                await told.put(item)
                await asyncio.sleep(0)
            await answer(send)

        async def put() -> None:
            for item in range(1000):
                await asked.put(item)
                await asyncio.sleep(0.001 if item % 7 == 0 else 0)
            await asked.put(None)

        async with client_of(make_isolated(app)) as client:
            asking, putting = asyncio.create_task(client.get("/")), asyncio.create_task(put())
            assert [await asyncio.wait_for(told.get(), 10) for _ in range(1000)] == list(range(1000))
            assert (await asking).text == "ok"
            await putting
        assert (asked.qsize(), told.qsize()) == (0, 0)

    on_asyncio(main)


@on_asyncio_alone
def test_nothing_is_lost_of_what_threads_put(make_isolated: MakeIsolated) -> None:
    asked: queue.Queue[Any] = queue.Queue()
    told: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        while (item := asked.get(timeout=10)) is not None:
            told.put(item)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(work)
        await answer(send)

    def put() -> None:
        for item in range(1000):
            asked.put(item)
            if item % 5 == 0:
                threading.Event().wait(0.0005)
        asked.put(None)

    client = OfStarlette(make_isolated(app))
    threads = [threading.Thread(target=client.get, args=("/",)), threading.Thread(target=put)]
    for thread in threads:
        thread.start()
    assert [told.get(timeout=10) for _ in range(1000)] == list(range(1000))
    for thread in threads:
        thread.join()


@on_asyncio_alone
def test_a_queue_whose_lock_somebody_keeps_holds_nobody_up_for_ever(make_isolated: MakeIsolated) -> None:
    told: queue.Queue[str] = queue.Queue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.put("tea")
        await answer(send)

    client = OfStarlette(make_isolated(app))
    with told.mutex:
        assert client.get("/").text == "ok"
    assert told.get(timeout=10) == "tea"


@on_asyncio_alone
def test_the_same_object_several_times(make_isolated: MakeIsolated) -> None:
    async def main() -> None:
        ticks: asyncio.Queue[bool] = asyncio.Queue()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            count = 0
            while await ticks.get():
                count += 1
            await answer(send, count)

        async with client_of(make_isolated(app)) as client:
            asking = asyncio.create_task(client.get("/"))
            for number in range(300):
                await ticks.put(True)
                await asyncio.sleep(0.001 if number % 3 == 0 else 0)
            await ticks.put(False)
            assert (await asyncio.wait_for(asking, 10)).text == "300"

    on_asyncio(main)


@on_asyncio_alone
@pytest.mark.parametrize("is_of_app", [True, False])
def test_a_full_queue_holds_back_who_puts(make_isolated: MakeIsolated, is_of_app: bool) -> None:
    async def main() -> None:
        items: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
        taken: list[int] = []

        async def put() -> None:
            for item in range(20):
                await items.put(item)
                assert items.qsize() <= 1

        async def take() -> None:
            while len(taken) < 20:
                taken.append(await items.get())

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (put() if is_of_app else take())
            await answer(send)

        async with client_of(make_isolated(app)) as client:
            asking = asyncio.create_task(client.get("/"))
            await asyncio.wait_for(take() if is_of_app else put(), 10)
            assert (await asking).text == "ok"
        assert taken == list(range(20))

    on_asyncio(main)


@on_asyncio_alone
def test_both_put_into_the_queue_that_one_takes_from(make_isolated: MakeIsolated) -> None:
    async def main() -> None:
        items: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

        async def put(who: str) -> None:
            for number in range(100):
                await items.put((who, number))
                await asyncio.sleep(0.001)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await put("app")
            await answer(send)

        async with client_of(make_isolated(app)) as client:
            asking, putting = asyncio.create_task(client.get("/")), asyncio.create_task(put("test"))
            taken = [await asyncio.wait_for(items.get(), 10) for _ in range(200)]
            await asking
            await putting
        for who in ("app", "test"):
            assert [item for item in taken if item[0] == who] == [(who, number) for number in range(100)]
        assert items.empty()

    on_asyncio(main)


@on_asyncio_alone
def test_those_of_classes_of_its_own(make_isolated: MakeIsolated) -> None:
    class Turn(asyncio.Event):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.count = 0

        def set(self) -> None:
            self.count += 1
            super().set()

    class Named(asyncio.Queue[str]):
        def __init__(self, name: str) -> None:
            super().__init__(maxsize=1)
            self.name = name

    class Flag(threading.Event):
        pass

    async def main() -> None:
        entered, release, names, flag = Turn("entered"), Turn("release"), Named("names"), Flag()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await names.put(entered.name)
            await names.put(names.name)
            entered.set()
            flag.set()
            await release.wait()
            await answer(send, release.count)

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(release.wait(), 0.001)  # which makes it one of this loop
        async with client_of(make_isolated(app)) as client:
            asked = asyncio.create_task(client.get("/"))
            assert [await asyncio.wait_for(names.get(), 10) for _ in range(2)] == ["entered", "names"]
            await asyncio.wait_for(entered.wait(), 10)
            assert await asyncio.to_thread(flag.wait, 10)
            release.set()
            assert (await asyncio.wait_for(asked, 10)).text == "0"
        assert release.count == 1  # and here once

    on_asyncio(main)
