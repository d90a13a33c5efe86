"""Many threads on one client: while the app waits for one of them, it serves the others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Final

from isoclient import TestClient
from tests.benchmarks import apps
from tests.benchmarks.harness import Effort, Row

_THREADS: Final = 16
_WAIT: Final = 0.01  # seconds that the app awaits for each request


def measure(effort: Effort) -> Iterator[Row]:
    count = effort.calls(50)
    with TestClient(apps.plain, isolated=True) as client, ThreadPoolExecutor(_THREADS) as pool:
        taken = [_round(client, pool, count) for _ in range(effort.rounds)]
    reached = median(count * _WAIT / seconds for seconds in taken)
    detail = f"{_THREADS * count} requests in {median(taken) * 1000:,.0f} ms, ideal {count * _WAIT * 1000:,.0f} ms"
    yield Row("16 threads, 10 ms each in the app / ideal concurrency", reached, 0.8, least=True, detail=detail)


def _round(client: TestClient, pool: ThreadPoolExecutor, count: int) -> float:
    def work() -> None:
        for _ in range(count):
            client.get("/wait")

    began = perf_counter()
    for future in [pool.submit(work) for _ in range(_THREADS)]:
        future.result()
    return perf_counter() - began
