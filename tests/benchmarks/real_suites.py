"""The suites of real projects, unmodified, each run in several ways in an environment of its own.

Usage::

    python -m tests.benchmarks.real_suites DIRECTORY [--only PROJECT ...] [--rounds 3]

The directory keeps the environments and the sources for the next time, and what the last run of each way has printed,
in ``PROJECT-output``. Not part of ``python -m tests.benchmarks``: it gets what it needs from the package index, and a
round of all ways takes some minutes for each project. Beside the rounds, each way but the bare fork is run once more,
untimed, to look at its memory and to count.

Each run is told on stderr when it is over, and how far an interrupted one has come is in the table all the same. A way
whose run breaks off is left out from then on, and has a line that says why.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.footprint import Footprint
from tests.benchmarks.harness import Row, Run, Samples, describe_machine, run_process
from tests.benchmarks.peers import ROOT
from tests.benchmarks.report import print_table

_AS_IT_IS: Final = "as it is"
_TOGETHER: Final = "together"
_FORKED: Final = "a bare fork for each test"
_WAYS: Final = {
    _AS_IT_IS: ("-p", "no:isoclient"),
    _FORKED: ("-p", "no:isoclient", "-p", "suite_probe"),
    "isolated for the client": ("--isolated=client",),
    "isolated for each test": ("--isolated=test",),
    _TOGETHER: ("--isolated=together",),
}
_STARTING: Final = ("isolated for the client", "isolated for each test")
_FOR_TOGETHER: Final = 1.15
_LIMIT: Final = 900.0
"""Seconds for one run."""


class _Project(NamedTuple):
    """One whose source distribution has its tests.

    Attributes:
        requirements: of it and of its tests, as pip takes them.
        group: the dependency group of its pyproject.toml that its tests need.
        options: of pytest: which tests, where it is not all of them.
    """

    requirements: tuple[str, ...]
    group: str = ""
    options: tuple[str, ...] = ()


_LEFT_OUT: Final = (
    "query_params_str_validations",
    "path_params_numeric_validations",
    "request_form_models",
    "security",
)
_PROJECTS: Final = {
    # Many small apps, each with a client for its module. All 5,200 tests would take an hour for a round. These are the
    # 1,000 of the tutorial, but for three subjects with many tests of one kind, and one that hashes passwords.
    "fastapi": _Project(
        ("fastapi[all]",),
        "tests",
        (
            "tests/test_tutorial",
            *(f"--ignore=tests/test_tutorial/test_{subject}" for subject in _LEFT_OUT),
        ),
    ),
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


class _Outcome(NamedTuple):
    """Of a run.

    Attributes:
        seconds: how long it took.
        megabytes: what pytest's own process has had at most.
        passed: how many tests have passed.
        failed: the others, by their ids.
    """

    seconds: float
    megabytes: float
    passed: int
    failed: frozenset[str]


class _Look(NamedTuple):
    """What else there is to know of a way.

    Attributes:
        megabytes: what all processes of its run take together at most.
        processes: how many those are.
        counted: requests, or starts of processes for apps, or 0.
    """

    megabytes: float
    processes: int
    counted: int


class _Probe(NamedTuple):
    """What suite_probe counts, and the options that this takes."""

    name: str = ""
    options: tuple[str, ...] = ()


_STARTS: Final = _Probe("starts", ("-p", "suite_probe", "-o", "isoclient_at_start=suite_probe:count"))
_PROBES: Final = {
    _AS_IT_IS: _Probe("requests", ("-p", "suite_probe")),
    **dict.fromkeys(_STARTING, _STARTS),
}


class _Suite:
    """An environment with the project, its source, and isoclient as it is in this checkout.

    Raises:
        RuntimeError: what is run has failed.
    """

    def __init__(self, directory: Path, name: str, project: _Project) -> None:
        self._options = project.options
        self._outputs = directory / f"{name}-output"
        self._python = directory / name / "bin" / "python"
        if not self._python.exists():
            _run([sys.executable, "-m", "venv", "--upgrade-deps", str(directory / name)])  # pip knows groups as of 25.1
        self._pip("install", *project.requirements)
        self._source = self._unpacked(directory, name)
        if project.group:
            self._pip("install", "--group", f"{self._source / 'pyproject.toml'}:{project.group}")
        self._pip("install", "--force-reinstall", "--no-deps", str(ROOT))
        self._pip("install", str(ROOT))

    def run(self, way: str) -> _Outcome:
        """Run it in one of the ways."""
        return _outcome(self._pytest(way, _WAYS[way]))

    def look_at(self, way: str) -> _Look:
        """Run it so, untimed; look at its memory meanwhile, and count what the probe can count in this way."""
        footprint, probe = Footprint(), _PROBES.get(way, _Probe())
        with tempfile.NamedTemporaryFile() as counted:
            environment = {"PROBE": probe.name, "PROBE_FILE": counted.name}
            _outcome(self._pytest(f"{way}, not timed", (*_WAYS[way], *probe.options), footprint, environment))
            return _Look(footprint.megabytes, footprint.processes, len(counted.read()))

    def _pytest(
        self,
        what: str,
        options: tuple[str, ...],
        footprint: Footprint | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        plain = ("-q", "-rfE", "-p", "no:cacheprovider", "-p", "no:randomly")
        command = [str(self._python), "-m", "pytest", *plain, *self._options, *options]
        variables = {"PYTHONPATH": str(ROOT / "tests" / "benchmarks"), **(environment or {})}
        run = run_process(command, cwd=self._source, env=variables, limit=_LIMIT, footprint=footprint)
        self._outputs.mkdir(exist_ok=True)
        (self._outputs / f"{what}.txt").write_text(run.output)
        return run

    def _unpacked(self, directory: Path, name: str) -> Path:
        version = self._ask("-c", f"from importlib.metadata import version; print(version({name!r}))").strip()
        stem = f"{name.replace('-', '_')}-{version}"
        if not (directory / stem).is_dir():
            self._pip("download", "--no-deps", "--no-binary", name, "--dest", str(directory), f"{name}=={version}")
            with tempfile.TemporaryDirectory(dir=directory) as whole:  # which half of a source never is
                with tarfile.open(directory / f"{stem}.tar.gz") as archive:
                    archive.extractall(whole, filter="data")
                (Path(whole) / stem).rename(directory / stem)
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


def _outcome(run: Run) -> _Outcome:
    passed = re.findall(r"(\d+) passed\b.* in [\d.]+s", run.output)
    if run.exitcode not in (0, 1) or not passed:
        raise RuntimeError(f"pytest has ended with {run.exitcode} after {run.seconds:.0f} s:\n{run.output[-5000:]}")
    summary = run.output.rpartition("= short test summary info =")[2]  # elsewhere are lines of logs that begin like its
    failed = re.findall(r"^(?:FAILED|ERROR) (\S*::.+?)(?: - .*)?$", summary, re.MULTILINE)
    return _Outcome(run.seconds, run.megabytes, int(passed[-1]), frozenset(failed))


class _Measuring:
    """What is known of a project by now, way by way.

    Args:
        name: of the project.

    Attributes:
        broken: the ways whose run has broken off, or what could not be made ready, and why.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._outcomes: dict[str, list[_Outcome]] = defaultdict(list)
        self._looks: dict[str, _Look] = {}
        self.broken: dict[str, str] = {}

    def measure(self, directory: Path, rounds: int) -> None:
        """All of it; what there is when this is interrupted can be shown."""
        try:
            _say(f"{self._name}: its environment is made ready")
            suite = _Suite(directory, self._name, _PROJECTS[self._name])
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            self._has_broken("its environment", error)
            return
        self._look_at(suite, _AS_IT_IS)  # first, for it leaves bytecode and caches behind
        for number in range(rounds):
            for way in list(_WAYS) if number % 2 else reversed(list(_WAYS)):
                self._run(suite, way)
        for way in (*_STARTING, _TOGETHER):  # a bare fork is gone at once
            self._look_at(suite, way)

    def rows(self) -> Iterator[Row]:
        """What is known, as lines of the table."""
        for way in _WAYS:
            if way != _AS_IT_IS:
                yield from self._compared(way)
            yield from self._looked_at(way)
        for what, why in self.broken.items():
            yield Row(f"{self._name}: {what} has broken off", float("nan"), detail=why)

    def differences(self) -> Iterator[str]:
        """The tests that fail in one of the ways, and not in the suite as it is."""
        usual = _failing(self._outcomes[_AS_IT_IS])
        for way in _WAYS:
            if way != _AS_IT_IS:
                for test in sorted(_failing(self._outcomes[way]) - usual):
                    yield f"{self._name}: {way}: {test} fails"

    def _run(self, suite: _Suite, way: str) -> None:
        if way in self.broken:
            return
        try:
            outcome = suite.run(way)
        except RuntimeError as error:
            self._has_broken(way, error)
            return
        self._outcomes[way].append(outcome)
        tests = f"{outcome.passed} passed, {len(outcome.failed)} failed"
        _say(f"{self._name}: {way}: {outcome.seconds:.1f} s, {tests}, {outcome.megabytes:.0f} MB in pytest's process")

    def _look_at(self, suite: _Suite, way: str) -> None:
        if way in self.broken:
            return
        try:
            look = self._looks[way] = suite.look_at(way)
        except RuntimeError as error:
            self._has_broken(way, error)
            return
        counted = f", {look.counted} {_PROBES[way].name}" if way in _PROBES else ""
        _say(f"{self._name}: {way}, not timed: {look.megabytes:.0f} MB in {look.processes} processes{counted}")

    def _has_broken(self, what: str, error: Exception) -> None:
        self.broken[what] = str(error).partition("\n")[0]
        _say(f"{self._name}: {what} has broken off: {error}")

    def _compared(self, way: str) -> Iterator[Row]:
        ours, usual = self._outcomes[way], self._outcomes[_AS_IT_IS]
        rounds = min(len(ours), len(usual))  # an interrupted one has not all of them
        if not rounds:
            return
        got = Samples({way: _seconds(ours[:rounds]), _AS_IT_IS: _seconds(usual[:rounds])})
        passing = f"{ours[-1].passed} of {usual[-1].passed} pass"
        detail = f"{passing}; {got.median(way):.1f} s, {got.median(_AS_IT_IS):.1f} s"
        bar = _FOR_TOGETHER if way == _TOGETHER else None
        yield Row(f"{self._name}: {way} / {_AS_IT_IS}", got.ratio(way, _AS_IT_IS), bar, detail=detail)
        added = (got.median(way) - got.median(_AS_IT_IS)) * 1000
        for number, what in self._shares(way, usual[-1].passed):
            yield Row(f"{self._name}: {way}, added for each of {number} {what}", added / number, unit=" ms")

    def _shares(self, way: str, tests: int) -> Iterator[tuple[int, str]]:
        """What the time that a way adds is divided by."""
        yield tests, "tests"
        if way in _STARTING:
            for of in (way, _AS_IT_IS):
                if of in self._looks:
                    yield max(self._looks[of].counted, 1), _PROBES[of].name

    def _looked_at(self, way: str) -> Iterator[Row]:
        if (look := self._looks.get(way)) is None:
            return
        what = f"{self._name}: {way}, memory of the whole run (PSS)"
        yield Row(what, look.megabytes, unit=" MB", detail=f"in {look.processes} processes")


def _failing(outcomes: list[_Outcome]) -> frozenset[str]:
    return frozenset().union(*(outcome.failed for outcome in outcomes))


def _seconds(outcomes: list[_Outcome]) -> list[float]:
    return [outcome.seconds for outcome in outcomes]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the suites of real projects in several ways.")
    parser.add_argument("directory", type=Path, help="where environments and sources are kept")
    parser.add_argument("--only", nargs="+", choices=_PROJECTS, default=list(_PROJECTS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    print(f"{describe_machine()}, load average {os.getloadavg()[0]:.1f} at the start", flush=True)
    complete = True
    for name in options.only:
        project = _Measuring(name)
        try:
            project.measure(options.directory.resolve(), options.rounds)
        except KeyboardInterrupt:
            _say("interrupted: what follows is what has been measured by then")
            return 130
        finally:
            _show(project)
        complete = complete and not project.broken
    return 0 if complete else 1


def _show(project: _Measuring) -> None:
    print_table(project.rows())
    for line in project.differences():
        print(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
