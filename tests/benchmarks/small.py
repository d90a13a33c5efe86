"""Small requests: what a GET, and a POST of JSON, take through each client, in time and in CPU time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Effort, Row, alternate, calling, using


def measure(effort: Effort) -> Iterator[Row]:
    yield from _gets(effort)
    yield from _posts(effort)
    yield from _cpu(effort)


def _gets(effort: Effort) -> Iterator[Row]:
    count = effort.calls(300)
    with ExitStack() as stack:
        enter = stack.enter_context
        isolated = enter(TestClient(apps.plain, isolated=True))
        in_process = enter(TestClient(apps.plain))
        server = enter(peers.Server("tests.benchmarks.apps:plain"))
        over_loopback, null = peers.session(server.url), peers.session()
        calls: dict[str, Callable[[], object]] = {
            "isolated": lambda: isolated.get("/"),
            "in-process": lambda: in_process.get("/"),
            "Starlette": _getter(enter(peers.starlette(apps.plain))),
            "Starlette without with": _getter(peers.starlette(apps.plain)),
            "starlette-testclient": _getter(enter(peers.starlette_on_requests(apps.plain))),
            "Litestar": _getter(enter(peers.litestar(apps.plain))),
            "uvicorn": lambda: over_loopback.get(server.url + "/"),
            "null adapter": lambda: null.get("http://testserver/"),
            "ping-pong": enter(peers.ping_pong()),
        }
        cases = {name: calling(call, count) for name, call in calls.items()}
        cases["async-asgi-testclient"] = enter(peers.async_gets(apps.plain, count))
        got = alternate(cases, effort.rounds)
    for peer, bar in (("Starlette", 0.18), ("starlette-testclient", 0.40), ("uvicorn", 0.50)):
        yield Row(f"isolated GET / {peer}", got.ratio("isolated", peer), bar, detail=got.microseconds("isolated", peer))
    floor = ("null adapter", "ping-pong")
    yield Row(
        "isolated GET / null adapter + ping-pong",
        got.ratio("isolated", *floor),
        1.5,
        detail=got.microseconds("isolated", *floor),
    )
    yield Row(
        "in-process GET / Starlette",
        got.ratio("in-process", "Starlette"),
        0.18,
        detail=got.microseconds("in-process", "Starlette"),
    )
    for peer in ("Starlette without with", "Litestar", "async-asgi-testclient"):
        yield Row(f"isolated GET / {peer}", got.ratio("isolated", peer), detail=got.microseconds("isolated", peer))


def _getter(client: Any) -> Callable[[], object]:
    return lambda: client.get("/")


def _posts(effort: Effort) -> Iterator[Row]:
    with TestClient(apps.shop, isolated=True) as isolated, peers.starlette(apps.shop) as starlette:
        calls: dict[str, Callable[[], object]] = {
            "isolated": lambda: isolated.post("/orders", json=apps.ORDER),
            "Starlette": lambda: starlette.post("/orders", json=apps.ORDER),
        }
        got = alternate({name: calling(call, effort.calls(100)) for name, call in calls.items()}, effort.rounds)
    ratio = got.ratio("isolated", "Starlette")
    yield Row("isolated POST of 2 KB JSON to FastAPI / Starlette", ratio, 0.6, detail=got.microseconds(*calls))


def _cpu(effort: Effort) -> Iterator[Row]:
    count = effort.calls(300)
    with TestClient(apps.plain, isolated=True) as isolated, peers.starlette(apps.plain) as starlette:
        cases = {
            "isolated": using(lambda: isolated.get("/"), count, isolated.pid),
            "Starlette": using(_getter(starlette), count),
        }
        got = alternate(cases, effort.rounds)
    ratio = got.ratio("isolated", "Starlette")
    yield Row("CPU of an isolated GET, both processes / Starlette", ratio, 0.35, detail=got.microseconds(*cases))
