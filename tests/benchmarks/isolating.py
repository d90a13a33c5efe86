"""Clients of other kinds: what each takes with an app that is isolated, beside the same with the app in-process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from time import perf_counter
from typing import Any, Final

import httpx

from isoclient import isolate
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Case, Effort, Row, alternate, calling

_MEGABYTES: Final = 64
_PATH: Final = f"/down/{_MEGABYTES}/{apps.MEGABYTE}"
_AT_ONCE: Final = 200


def measure(effort: Effort) -> Iterator[Row]:
    yield from _starlette(effort)
    with isolate(apps.plain) as isolated, peers.Server("tests.benchmarks.apps:plain") as server:
        yield from _httpx(isolated, server.url, effort)


def _starlette(effort: Effort) -> Iterator[Row]:
    with ExitStack() as stack:
        enter = stack.enter_context
        isolated = enter(peers.starlette(enter(isolate(apps.plain))))
        in_process = enter(peers.starlette(apps.plain))
        count = effort.calls(100)
        cases = {
            "isolated": calling(lambda: isolated.get("/"), count),
            "in-process": calling(lambda: in_process.get("/"), count),
        }
        yield _row("GET through Starlette's client, isolated / in-process", cases, 1.10, effort)
        ours, theirs = enter(isolated.websocket_connect("/")), enter(in_process.websocket_connect("/"))
        cases = {
            "isolated": calling(lambda: _echo_once(ours), count),
            "in-process": calling(lambda: _echo_once(theirs), count),
        }
        yield _row("WebSocket echo through Starlette's client, isolated / in-process", cases, 1.25, effort)


def _echo_once(websocket: Any) -> None:
    websocket.send_text("Hello, world!")
    websocket.receive_text()


def _httpx(isolated: Any, url: str, effort: Effort) -> Iterator[Row]:
    plain: Any = apps.plain  # which names what it takes by stricter types
    with _clients(httpx.ASGITransport(isolated), httpx.ASGITransport(plain)) as (run, ours, theirs):
        count = effort.calls(300)
        cases = {"isolated": _gets(run, ours, count), "in-process": _gets(run, theirs, count)}
        yield _row("GET through httpx's ASGITransport, isolated / in-process", cases, 1.35, effort)
        cases = {"isolated": _at_once(run, ours), "in-process": _at_once(run, theirs)}
        got = alternate(cases, effort.rounds)
        yield Row(
            f"{_AT_ONCE} requests at once that await 10 ms each, speed of isolated / in-process",
            got.ratio("in-process", "isolated"),
            0.8,
            least=True,
            detail=got.milliseconds(*cases),
        )
    with _clients(httpx.ASGITransport(isolated), httpx.AsyncHTTPTransport()) as (run, ours, theirs):
        cases = {"isolated": _download(run, ours, _PATH), "uvicorn": _download(run, theirs, url + _PATH)}
        got = alternate(cases, effort.few())
        speeds = ", ".join(f"{name} {_MEGABYTES / got.median(name):,.0f} MB/s" for name in cases)
        what = "download of 64 MB through httpx, isolated / uvicorn"
        yield Row(what, got.ratio("uvicorn", "isolated"), 1.5, least=True, detail=speeds)


_Run = Callable[[Awaitable[float]], float]


@contextmanager
def _clients(*transports: httpx.AsyncBaseTransport) -> Iterator[tuple[_Run, httpx.AsyncClient, httpx.AsyncClient]]:
    """What runs something on a loop that stays, and two clients there."""

    async def enter() -> tuple[httpx.AsyncClient, ...]:
        made = [httpx.AsyncClient(transport=transport, base_url="http://test") for transport in transports]
        return tuple([await stack.enter_async_context(client) for client in made])

    async def awaited(work: Awaitable[float]) -> float:
        return await work

    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        ours, theirs = runner.run(enter())
        yield lambda work: runner.run(awaited(work)), ours, theirs
        runner.run(stack.aclose())


def _gets(run: _Run, client: httpx.AsyncClient, count: int) -> Case:
    async def many() -> float:
        began = perf_counter()
        for _ in range(count):
            await client.get("/")
        return (perf_counter() - began) / count

    return lambda: run(many())


def _at_once(run: _Run, client: httpx.AsyncClient) -> Case:
    async def many() -> float:
        began = perf_counter()
        await asyncio.gather(*(client.get("/wait") for _ in range(_AT_ONCE)))
        return perf_counter() - began

    return lambda: run(many())


def _download(run: _Run, client: httpx.AsyncClient, url: str) -> Case:
    async def once() -> float:
        began = perf_counter()
        assert len((await client.get(url)).content) == _MEGABYTES * apps.MEGABYTE
        return perf_counter() - began

    return lambda: run(once())


def _row(what: str, cases: dict[str, Case], bar: float, effort: Effort) -> Row:
    got = alternate(cases, effort.rounds)
    return Row(what, got.ratio("isolated", "in-process"), bar, detail=got.microseconds(*cases))
