"""A client that has served very many requests, beside one that has served few: in CPU time, and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from isoclient import TestClient
from tests.benchmarks import apps
from tests.benchmarks.harness import Effort, Row, alternate, using

_FEW: Final = 1_000
_MANY: Final = 100_000


def measure(effort: Effort) -> Iterator[Row]:
    many = effort.calls(_MANY)
    with TestClient(apps.plain, isolated=True) as old, TestClient(apps.plain, isolated=True) as young:
        _get(old, _FEW)
        _get(young, _FEW)
        before = _resident("self"), _resident(old.pid)
        _get(old, many)
        after = _resident("self"), _resident(old.pid)
        calls = effort.calls(200)
        got = alternate(
            {
                "old": using(lambda: old.get("/"), calls, old.pid),
                "young": using(lambda: young.get("/"), calls, young.pid),
            },
            effort.rounds * 2,
        )
    ratio = got.ratio("old", "young")
    yield Row(
        f"CPU of a GET after {many:,} requests / after {_FEW:,}", ratio, 1.05, detail=got.microseconds("old", "young")
    )
    for name, first, last in zip(("test", "app"), before, after, strict=True):
        yield Row(f"RSS of the {name}'s process meanwhile / before", last / first, 1.02, detail=f"{last:,.1f} MB")


def _get(client: TestClient, count: int) -> None:
    for _ in range(count):
        client.get("/")


def _resident(pid: int | str) -> float:
    """The resident memory of a process, in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)
