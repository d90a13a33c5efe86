"""WebSockets: an echo, and a whole one with its handshake and its close."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Case, Effort, Row, Samples, alternate, calling


def measure(effort: Effort) -> Iterator[Row]:
    with ExitStack() as stack:
        enter = stack.enter_context
        isolated = enter(TestClient(apps.plain, isolated=True))
        starlette = enter(peers.starlette(apps.plain))
        yield from _whole(isolated, starlette, effort)
        yield from _echo(isolated, starlette, effort)


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


def _echo(isolated: TestClient, starlette: Any, effort: Effort) -> Iterator[Row]:
    count = effort.calls(500)
    with ExitStack() as stack:
        enter = stack.enter_context
        clients = {
            "isolated": isolated,
            "in-process": enter(TestClient(apps.plain)),
            "Starlette": starlette,
            "Litestar": enter(peers.litestar(apps.plain)),
        }
        server = enter(peers.Server("tests.benchmarks.apps:plain"))
        floors = {"ping-pong": enter(peers.ping_pong()), "a bare asyncio loop": enter(peers.echo_of_a_loop())}
        cases = {
            **{name: _echoing(client, count) for name, client in clients.items()},
            "uvicorn": _echoing_over_loopback(server, count),
            "async-asgi-testclient": enter(peers.async_echoes(apps.plain, count)),
            **{name: calling(floor, count) for name, floor in floors.items()},
        }
        got = alternate(cases, effort.rounds)
    for peer, bar in (("Starlette", 0.35), ("ping-pong", 2.0)):
        yield _compared(got, "isolated", peer, bar)
    for peer in ("a bare asyncio loop", "Litestar", "uvicorn", "async-asgi-testclient"):
        yield _compared(got, "isolated", peer)
    yield _compared(got, "in-process", "Starlette")


def _echoing(client: Any, count: int) -> Case:
    """Open for its own turn only: the app of Litestar's asks all the time whether something has come."""

    def case() -> float:
        with client.websocket_connect("/") as websocket:
            return calling(lambda: _echo_once(websocket), count)()

    return case


def _echoing_over_loopback(server: peers.Server, count: int) -> Case:
    def case() -> float:
        with peers.websocket(server) as websocket:

            def echo() -> None:
                websocket.send("Hello, world!")
                websocket.recv()

            return calling(echo, count)()

    return case


def _compared(got: Samples, ours: str, peer: str, bar: float | None = None) -> Row:
    return Row(f"WebSocket echo, {ours} / {peer}", got.ratio(ours, peer), bar, detail=got.microseconds(ours, peer))
