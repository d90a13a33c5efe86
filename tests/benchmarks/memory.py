"""The memory of one more isolated client: what its process adds to all that there is, which is its PSS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Effort, Row

_CLIENTS: Final = 10


def measure(effort: Effort) -> Iterator[Row]:
    with ExitStack() as stack:
        first = stack.enter_context(TestClient(apps.shop, isolated=True))
        pids = [first.pid]
        before = _all(pids)
        for _ in range(_CLIENTS):
            client = stack.enter_context(TestClient(apps.shop, isolated=True))
            client.get("/route/7")
            pids.append(client.pid)
        added = (_all(pids) - before) / _CLIENTS
    floor = f"a bare fork that calls it once has {peers.fork_and_ask() / 1024:.1f} MB for itself"
    yield Row("memory of one more isolated client, FastAPI app (PSS)", added, 8, unit=" MB", detail=floor)


def _all(pids: list[int]) -> float:
    """The proportional set sizes of this process and of these, in megabytes: what they take together."""
    return _proportional("self") + sum(_proportional(pid) for pid in pids)


def _proportional(pid: int | str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)
