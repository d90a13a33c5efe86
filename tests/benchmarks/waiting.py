"""What it gives to look for an answer for a moment before one sleeps, on an idle machine and on a busy one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final
from unittest.mock import patch

from isoclient import TestClient
from isoclient.drive import waiting
from tests.benchmarks import apps
from tests.benchmarks.harness import Case, Effort, Row, alternate, calling, using

_BUSY: Final = (sys.executable, "-c", "while True: pass")


def measure(effort: Effort) -> Iterator[Row]:
    yield from _compared("idle", effort)
    with ExitStack() as stack:
        for _ in range(waiting._processors()):
            process = stack.enter_context(subprocess.Popen(_BUSY))
            stack.callback(process.kill)
        yield from _compared("with each processor busy", effort)


def _compared(state: str, effort: Effort) -> Iterator[Row]:
    count = effort.calls(300)
    with ExitStack() as stack:
        looks, sleeps = stack.enter_context(_client()), stack.enter_context(_client_that_sleeps())
        cases: dict[str, Case] = {
            "looks": calling(lambda: looks.get("/"), count),
            "sleeps": calling(lambda: sleeps.get("/"), count),
            "looks, CPU": using(lambda: looks.get("/"), count, looks.pid),
            "sleeps, CPU": using(lambda: sleeps.get("/"), count, sleeps.pid),
        }
        got = alternate(cases, effort.rounds)
    for unit in ("", ", CPU"):
        ours, theirs = f"looks{unit}", f"sleeps{unit}"
        detail = got.microseconds(ours, theirs)
        yield Row(
            f"GET that looks before it sleeps / that sleeps, {state}{unit}", got.ratio(ours, theirs), detail=detail
        )


def _client() -> TestClient:
    client = TestClient(apps.plain, isolated=True)
    client.get("/")
    return client


def _client_that_sleeps() -> TestClient:
    with patch.object(waiting, "_processors", return_value=1):
        return _client()
