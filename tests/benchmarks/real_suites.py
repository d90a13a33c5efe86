"""The suites of real projects, unmodified, each run in several ways in an environment of its own.

Usage::

    python -m tests.benchmarks.real_suites DIRECTORY [--only PROJECT ...] [--rounds 3]

The directory keeps the environments and the sources for the next time. Not part of ``python -m tests.benchmarks``: it
takes some minutes for each suite and round, and gets what it needs from the package index.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.harness import Row, Samples, describe_machine, run_process
from tests.benchmarks.peers import ROOT
from tests.benchmarks.report import print_table

_AS_IT_IS: Final = "as it is"
_FORKED: Final = "a bare fork for each test"
_WAYS: Final = {
    _AS_IT_IS: ("-p", "no:isoclient"),
    _FORKED: ("-p", "no:isoclient", "-p", "suite_probe"),
    "isolated for the client": ("--isolated=client",),
    "isolated for each test": ("--isolated=test",),
    "together": ("--isolated=together",),
}
_STARTING: Final = ("isolated for the client", "isolated for each test")
_FOR_TOGETHER: Final = 1.15


class _Project(NamedTuple):
    """One whose source distribution has its tests.

    Attributes:
        requirements: of it and of its tests, as pip takes them.
        group: the dependency group of its pyproject.toml that its tests need.
        options: of pytest: what is not about its apps is left out.
    """

    requirements: tuple[str, ...]
    group: str = ""
    options: tuple[str, ...] = ()


_PROJECTS: Final = {
    # Many small apps, each with a client for its module.
    "fastapi": _Project(("fastapi[all]",), "tests", ("--ignore=tests/benchmarks",)),
    # An app for nearly each test, on asyncio and trio.
    "starlette": _Project(
        ("starlette[full]", "httpx2[zstd]", "opentelemetry-sdk", "blockbuster", "importlib-metadata", "pytest", "trio")
    ),
    # Requests of httpx's async client, under pytest-asyncio.
    "fastapi-users": _Project(
        ("fastapi-users[sqlalchemy,oauth]", "aiosqlite", "asgi-lifespan", "httpx", "pytest-asyncio", "pytest-mock"),
        options=("--ignore=tests/test_authentication_strategy_redis.py",),
    ),
}


class _Suite:
    """An environment with the project, its source, and isoclient as it is in this checkout.

    Raises:
        RuntimeError: what is run has failed.
    """

    def __init__(self, directory: Path, name: str, project: _Project) -> None:
        self._options = project.options
        self._python = directory / name / "bin" / "python"
        if not self._python.exists():
            _run([sys.executable, "-m", "venv", str(directory / name)])
        self._pip("install", *project.requirements)
        self._source = self._unpacked(directory, name)
        if project.group:
            self._pip("install", "--group", f"{self._source / 'pyproject.toml'}:{project.group}")
        self._pip("install", "--force-reinstall", "--no-deps", str(ROOT))
        self._pip("install", str(ROOT))
        self.passed: dict[str, int] = {}
        self.memory: dict[str, float] = {}

    def run(self, way: str) -> float:
        """Run it in one of the ways; return how long it takes, in seconds."""
        took, _ = self._pytest(way, *_WAYS[way])
        return took

    def count_requests(self) -> int:
        """How many requests its clients of httpx make."""
        return self._pytest(_AS_IT_IS, "-p", "no:isoclient", "-p", "suite_probe", PROBE="requests")[1]

    def count_starts(self, way: str) -> int:
        """How many processes are started for its apps."""
        options = (*_WAYS[way], "-p", "suite_probe", "-o", "isoclient_at_start=suite_probe:count")
        return self._pytest(way, *options, PROBE="starts")[1]

    def _pytest(self, way: str, *options: str, **environment: str) -> tuple[float, int]:
        plain = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
        command = [str(self._python), "-m", "pytest", *plain, *self._options, *options]
        with tempfile.NamedTemporaryFile() as counted:
            variables = {"PYTHONPATH": str(ROOT / "tests" / "benchmarks"), "PROBE_FILE": counted.name, **environment}
            run = run_process(command, cwd=self._source, env=variables)
            passed = re.search(r"(\d+) passed", run.output.rpartition("\n\n")[2])
            if run.exitcode not in (0, 1) or passed is None:
                raise RuntimeError(f"{' '.join(command)} failed:\n{run.output[-5000:]}")
            self.passed[way], self.memory[way] = int(passed[1]), run.megabytes
            return run.seconds, len(counted.read())

    def _unpacked(self, directory: Path, name: str) -> Path:
        version = self._ask("-c", f"from importlib.metadata import version; print(version({name!r}))").strip()
        stem = f"{name.replace('-', '_')}-{version}"
        if not (directory / stem).is_dir():
            self._pip("download", "--no-deps", "--no-binary", name, "--dest", str(directory), f"{name}=={version}")
            with tarfile.open(directory / f"{stem}.tar.gz") as archive:
                archive.extractall(directory, filter="data")
        return directory / stem

    def _pip(self, *arguments: str) -> None:
        self._ask("-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)

    def _ask(self, *arguments: str) -> str:
        return _run([str(self._python), *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _rows(name: str, suite: _Suite, rounds: int) -> Iterator[Row]:
    requests = suite.count_requests()  # first, for it leaves bytecode and caches behind
    costs: dict[str, list[float]] = {way: [] for way in _WAYS}
    for number in range(rounds):
        for way in list(_WAYS) if number % 2 else reversed(list(_WAYS)):
            costs[way].append(suite.run(way))
    got, tests = Samples(costs), suite.passed[_AS_IT_IS]
    for way in _WAYS:
        if way != _AS_IT_IS:
            bar = _FOR_TOGETHER if way == "together" else None
            yield Row(f"{name}: {way} / {_AS_IT_IS}", got.ratio(way, _AS_IT_IS), bar, detail=_passing(suite, way, got))
            yield Row(f"{name}: {way}, added for each test", _added(got, way, tests), unit=" ms")
        if way in _STARTING:
            starts = suite.count_starts(way)
            yield Row(f"{name}: {way}, added for each of {starts} starts", _added(got, way, starts), unit=" ms")
            yield Row(f"{name}: {way}, added for each of {requests} requests", _added(got, way, requests), unit=" ms")
        yield Row(f"{name}: {way}, memory of the run's process", suite.memory[way], unit=" MB")


def _passing(suite: _Suite, way: str, got: Samples) -> str:
    return (
        f"{suite.passed[way]} of {suite.passed[_AS_IT_IS]} pass; {got.median(way):.1f} s, {got.median(_AS_IT_IS):.1f} s"
    )


def _added(got: Samples, way: str, number: int) -> float:
    return (got.median(way) - got.median(_AS_IT_IS)) / max(number, 1) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the suites of real projects in several ways.")
    parser.add_argument("directory", type=Path, help="where environments and sources are kept")
    parser.add_argument("--only", nargs="+", choices=_PROJECTS, default=list(_PROJECTS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    print(f"{describe_machine()}, load average {os.getloadavg()[0]:.1f} at the start", flush=True)
    for name in options.only:
        suite = _Suite(options.directory.resolve(), name, _PROJECTS[name])
        print_table(list(_rows(name, suite, options.rounds)))


if __name__ == "__main__":
    main()
