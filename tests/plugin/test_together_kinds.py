"""Tests of all kinds come out the same, alone and together with their apps; and who hears of them hears the same."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

KINDS = Path(__file__).parent / "kinds"
PLUGINS = "isoclient.plugin,anyio.pytest_plugin"


class Outcome(NamedTuple):
    """What came of a run.

    Attributes:
        text: what was in the terminal.
        told: what a conftest has heard, by the hooks.
        junit: the report for machines.
        cache: what is there for the next run.
    """

    text: str
    told: Any
    junit: str
    cache: dict[str, str]


Run = Callable[..., Outcome]
RunHere = Callable[..., pytest.RunResult]


def without_addresses(text: str) -> str:
    return re.sub(r"at 0x[0-9a-f]+", "at 0x1", text)


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, run_here: RunHere) -> Run:
    """Runs the tests of all kinds: ``run(*options)``."""
    monkeypatch.setenv("PYTEST_PLUGINS", PLUGINS)
    pytester.makeini("[pytest]\njunit_logging = all\njunit_family = xunit1\n")
    shutil.copytree(KINDS, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))

    def run(*options: str) -> Outcome:
        shutil.rmtree(pytester.path / ".pytest_cache", ignore_errors=True)
        arguments = "--doctest-modules", "--basetemp=tmp", "--junit-xml=report.xml", *options
        result = run_here(*arguments, timeout=120)
        text = without_addresses((pytester.path / "told.json").read_text())
        junit = re.sub(r' (time|timestamp)="[^"]*"', "", (pytester.path / "report.xml").read_text())
        cached = (pytester.path / ".pytest_cache").rglob("v/**/*")
        dates = re.compile(r'"last_cache_date_str": "[^"]*"')
        cache = {file.name: dates.sub("", file.read_text()) for file in cached if file.is_file()}
        told = json.loads(text)
        return Outcome(without_addresses(result.stdout.str()), told, without_addresses(junit), cache)

    return run


@pytest.mark.rest  # test_together.py has workers, too
def test_workers(run: Run) -> None:
    # xdist itself fails over what a test records that is no plain value.
    options = (
        "-pxdist.plugin",
        "-n2",
        "--dist=loadfile",
        "--deselect=test_functions.py::test_properties",
        "-pno:cacheprovider",
    )
    expected, found = run(*options), run(*options, "--isolated=together")

    def told(outcome: Outcome, name: str) -> list[str]:
        # Which worker is the first to ask for a file is as it happens.
        return sorted(re.sub(r"\[gw\d\]", "[gw]", repr(each)) for each in outcome.told[name])

    for name in ("reports", "warnings", "called"):
        assert told(found, name) == told(expected, name), name


@pytest.mark.parametrize(
    "options",
    [
        "-v -rA",
        "-s -v",
        pytest.param("-olog_cli=true -olog_cli_level=INFO", marks=pytest.mark.rest),
        pytest.param("--color=yes", marks=pytest.mark.rest),
    ],
)
def test_the_terminal(run: Run, options: str) -> None:
    # Both are forks of one interpreter, with the same hashes: the colors of a log record are those of a set.
    def lines(*more: str) -> list[str]:
        text = run(*options.split(), *more).text
        return [re.sub(r"in \d+\.\d+s( \(\d+:\d+:\d+\))?", "in 1 s", line) for line in text.splitlines()]

    assert lines("--isolated=together") == lines()


@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("--capture=sys",), marks=pytest.mark.rest),
        pytest.param(("-p", "no:logging"), marks=pytest.mark.rest),
        pytest.param(("--maxfail=4",), marks=pytest.mark.rest),
        ("--stepwise",),
        pytest.param(("-W", "error::DeprecationWarning"), marks=pytest.mark.rest),
    ],
    ids=" ".join,
)
def test_all_that_is_told(run: Run, options: tuple[str, ...]) -> None:
    expected, found = run("-q", *options), run("-q", *options, "--isolated=together")
    assert len(expected.told["reports"]) > 5
    for name, told in expected.told.items():
        assert found.told[name] == told, name
    assert found.junit == expected.junit
    assert found.cache == expected.cache
