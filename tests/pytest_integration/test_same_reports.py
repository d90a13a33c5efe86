"""The small suite in ``suite/``, run in-process and isolated: the reports are equal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pytest_integration.runs import Outcome, Run

pytestmark = pytest.mark.usefixtures("suite")


@pytest.mark.parametrize(
    ("modes", "options"),
    [
        (("fork", "forkserver"), ()),
        (("fork",), ("-olog_level=DEBUG", "-Werror::shop.Ripe")),
        (("spawn",), ("-kold_client",)),
    ],
)
def test_outcomes_sections_and_warnings(run: Run, modes: tuple[str, ...], options: tuple[str, ...]) -> None:
    expected = run(*options).report
    assert len(expected["reports"]) > 50
    for mode in modes:
        found = run(*options, mode=mode).report
        assert found["reports"] == expected["reports"], mode
        assert found["warnings"] == expected["warnings"], mode


def lines(outcome: Outcome) -> Iterator[str]:
    """What was in the terminal, without what differs from run to run."""
    for line in outcome.text.splitlines():
        line = re.sub(r"in \d+\.\d+s( \(\d+:\d+:\d+\))?", "in 1s", line)
        if not line.startswith(("platform ", "plugins: ", "rootdir: ")):
            yield line


def test_the_terminal_of_a_run_without_capture(run: Run) -> None:
    live = ("-s", "-olog_cli=true", "-olog_cli_level=INFO")
    options = (*live, "-v", "--tb=no", "-k", "levels or threads or turn or warn")
    assert list(lines(run(*options, mode="fork"))) == list(lines(run(*options)))


def test_junit_reports(run: Run, suite: Path) -> None:
    def report(mode: str) -> str:
        run("--junit-xml=report.xml", "-ojunit_logging=all", "--tb=no", "-k", "output or records or threads", mode=mode)
        return re.sub(r'(time|timestamp)="[^"]*"', "", (suite / "report.xml").read_text())

    assert report("fork") == report("thread")
