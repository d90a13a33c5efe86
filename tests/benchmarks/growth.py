"""How costs grow: with the size of a body, the number of clients, and the memory of the test's process. No bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from time import perf_counter
from typing import Any, Final, NamedTuple

from isoclient import TestClient
from tests.benchmarks import apps
from tests.benchmarks.harness import Effort

__all__ = ["Curve", "curves"]

_SIZES: Final = (0, 1 << 10, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)
_CLIENTS: Final = (1, 2, 5, 10, 20)
_MEMORY: Final = (0, 100, 250, 500, 1000)


class Curve(NamedTuple):
    """One cost as it depends on something: its title, its two axes, and its points by name of the line."""

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]


def curves(effort: Effort) -> Iterator[Curve]:
    yield _by_size(effort)
    yield _by_clients(effort)
    yield _by_memory(effort)


def _by_size(effort: Effort) -> Curve:
    down: list[tuple[float, float]] = []
    up: list[tuple[float, float]] = []
    with TestClient(apps.plain, isolated=True) as client:
        for size in _SIZES:
            body = bytes(size)
            calls = effort.calls(100 if size < 1 << 18 else 20)
            down.append((size / 1024, _cost(lambda size=size: client.get(f"/down/1/{size}"), calls)))  # type: ignore[misc]
            up.append((size / 1024, _cost(lambda body=body: client.post("/up", data=body), calls)))  # type: ignore[misc]
    return Curve("a request with a body", "KB of body", "ms", {"download": down, "upload": up})


def _by_clients(effort: Effort) -> Curve:
    points = []
    with ExitStack() as stack:
        clients: list[TestClient] = []
        for count in _CLIENTS:
            while len(clients) < count:
                clients.append(stack.enter_context(TestClient(apps.plain, isolated=True)))
            cost = _cost(lambda: [client.get("/") for client in clients], effort.calls(max(4, 100 // count)))
            points.append((float(count), cost / count))
    return Curve("a GET, with clients in turn", "clients that are open", "ms", {"GET": points})


def _by_memory(effort: Effort) -> Curve:
    points = []
    ballast: list[bytearray] = []
    for megabytes in _MEMORY:
        while len(ballast) < megabytes:
            ballast.append(bytearray(b"x") * apps.MEGABYTE)
        points.append((float(megabytes), _cost(_use_once, effort.calls(15))))
    return Curve("a fresh app by fork", "MB that the test holds", "ms", {"start to end": points})


def _use_once() -> None:
    with TestClient(apps.plain, isolated=True) as client:
        client.get("/")


def _cost(call: Callable[[], Any], count: int) -> float:
    """The median of so many calls, in milliseconds."""
    times = []
    for _ in range(count):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return median(times) * 1000
