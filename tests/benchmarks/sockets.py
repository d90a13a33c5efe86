"""WebSockets: an echo, and a whole one with its handshake and its close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Effort, Row, alternate, calling


def measure(effort: Effort) -> Iterator[Row]:
    with ExitStack() as stack:
        enter = stack.enter_context
        isolated = enter(TestClient(apps.plain, isolated=True))
        starlette = enter(peers.starlette(apps.plain))
        floors = {"ping-pong": enter(peers.ping_pong()), "a bare asyncio loop": enter(peers.echo_of_a_loop())}
        yield from _whole(isolated, starlette, effort)
        ours, theirs = enter(isolated.websocket_connect("/")), enter(starlette.websocket_connect("/"))
        yield from _echo(ours, theirs, floors, effort)


def _whole(isolated: TestClient, starlette: Any, effort: Effort) -> Iterator[Row]:
    count = effort.calls(100)
    cases = {
        "isolated": calling(lambda: _connect_and_echo(isolated), count),
        "Starlette": calling(lambda: _connect_and_echo(starlette), count),
    }
    got = alternate(cases, effort.rounds)
    ratio = got.ratio("isolated", "Starlette")
    yield Row("WebSocket connect, echo, close / Starlette", ratio, 0.3, detail=got.microseconds(*cases))


def _connect_and_echo(client: Any) -> None:
    with client.websocket_connect("/") as websocket:
        _echo_once(websocket)


def _echo_once(websocket: Any) -> None:
    websocket.send_text("Hello, world!")
    websocket.receive_text()


def _echo(isolated: Any, starlette: Any, floors: Mapping[str, Any], effort: Effort) -> Iterator[Row]:
    count = effort.calls(500)
    cases = {
        "isolated": calling(lambda: _echo_once(isolated), count),
        "Starlette": calling(lambda: _echo_once(starlette), count),
        **{name: calling(floor, count) for name, floor in floors.items()},
    }
    got = alternate(cases, effort.rounds)
    for peer, bar in (("Starlette", 0.35), ("ping-pong", 2.0), ("a bare asyncio loop", None)):
        ratio = got.ratio("isolated", peer)
        yield Row(f"WebSocket echo, isolated / {peer}", ratio, bar, detail=got.microseconds("isolated", peer))
