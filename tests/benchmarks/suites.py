"""A whole suite of a realistic project, as ``pytest`` runs it: isolated, and in-process with Starlette's client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.benchmarks.harness import Case, Effort, Row, alternate, timed
from tests.benchmarks.peers import ROOT

_SUITE: Final = ROOT / "tests" / "shop"
_RUNS: Final = {
    "isolated": ["--isolated"],
    "isolated, fresh for every test": ["--isolated", "--fresh", "--warm"],
    "in-process": ["--client=starlette"],
}


def measure(effort: Effort) -> Iterator[Row]:
    if not _SUITE.is_dir():
        return
    got = alternate({name: _running(options) for name, options in _RUNS.items()}, 3)
    for ours, bar in (("isolated", 1.2), ("isolated, fresh for every test", 1.5)):
        detail = got.milliseconds(ours, "in-process")
        yield Row(f"the shop's suite, {ours} / Starlette", got.ratio(ours, "in-process"), bar, detail=detail)


def _running(options: list[str]) -> Case:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:faker", *options]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=_SUITE))
