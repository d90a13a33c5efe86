"""A whole suite of a realistic project, as ``pytest`` runs it: isolated, and in-process with several clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.benchmarks import small_apps
from tests.benchmarks.harness import Case, Effort, Row, alternate, timed
from tests.benchmarks.peers import ROOT

_SUITE: Final = ROOT / "tests" / "shop"
_FRESH: Final = ["--fresh", "--warm"]
_RUNS: Final = {
    "isolated": ["--isolated"],
    "isolated, fresh for every test": ["--isolated", *_FRESH],
    "isolated, the app used before": ["--isolated", "--warm"],
    "in-process, with a bare fork for each app": ["--client=forking"],
    "in-process, with a bare fork for every test": ["--client=forking", *_FRESH],
    "isoclient in-process": [],
    "isoclient in-process, fresh for every test": _FRESH,
    "Litestar": ["--client=litestar"],
    "Litestar, fresh for every test": ["--client=litestar", *_FRESH],
    "async-asgi-testclient": ["--client=async"],
    "async-asgi-testclient, fresh for every test": ["--client=async", *_FRESH],
    "in-process, fresh for every test": ["--client=starlette", *_FRESH],
    "in-process": ["--client=starlette"],
}
_BARS: Final = {"isolated": 1.2, "isolated, fresh for every test": 1.5}


_FRESH_PAIR: Final = ("isolated, fresh for every test", "in-process, with a bare fork for every test")


def measure(effort: Effort) -> Iterator[Row]:
    yield from small_apps.measure(effort)
    if not _SUITE.is_dir():
        return
    got = alternate({name: _running(options) for name, options in _RUNS.items()}, 3)
    for name in list(_RUNS)[:-1]:
        ratio, detail = got.ratio(name, "in-process"), got.milliseconds(name, "in-process")
        yield Row(f"the shop's suite, {name} / Starlette", ratio, _BARS.get(name), detail=detail)
    ours, bare = _FRESH_PAIR
    yield Row(f"the shop's suite, {ours} / {bare}", got.ratio(ours, bare), 0.85, detail=got.milliseconds(ours, bare))


def _running(options: list[str]) -> Case:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:faker", *options]
    return timed(lambda: _run(command))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=_SUITE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
