"""``--isoclient-polluters``: which tests change what comes of which others.

The run itself goes as it does without, but that all of it runs in one fork of its process (see
:mod:`isoclient.plugin.together`). So that process stays as it was after the collection, and can be forked again: once
for each test alone, and, where that comes out differently, for some of the tests before it until the fewest are found.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import starmap
from typing import Any, Final, NamedTuple

import pytest

from isoclient.leaks.found import Leak, deed
from isoclient.plugin.culprits import fewest
from isoclient.plugin.trials import Outcome, OutcomeOf, Trials
from isoclient.system.modules import time

__all__ = ["Polluters"]

_TRIALS: Final = 200  # at most, for one test
_LEAST: Final = 60.0  # seconds that a test may take in a trial, beside what the whole run has taken
_PHASES: Final = ("setup", "call", "teardown")
_DEEDS: Final = 3  # of each test that are told
_TITLE: Final = "isoclient: tests that change what comes of others"


class Finding(NamedTuple):
    """A test that comes out differently in the run than alone.

    Attributes:
        nodeid: which.
        usual: what came of it in the run.
        alone: and by itself.
        after: the fewest tests that it has to run after to come out as in the run, and what each of them leaves
            behind; None where it does not even come out so after all of those before it.
    """

    nodeid: str
    usual: Outcome
    alone: Outcome
    after: Mapping[str, list[Leak]] | None

    def __str__(self) -> str:
        if self.after is None:
            return f"{self.nodeid} {_said(self.usual)} in the run, {_said(self.alone)} alone, and not always so"
        only = "only " if self.usual == {"passed"} else ""
        culprits = " and ".join(starmap(_with_deeds, self.after.items()))
        return f"{self.nodeid} {_said(self.usual)} {only}after {culprits}: alone, it {_said(self.alone)}"


_VERBS: Final = {
    "passed": "passes",
    "failed": "fails",
    "error": "has an error",
    "skipped": "is skipped",
    "xfailed": "fails as expected",
    "xpassed": "passes unexpectedly",
    "died": "ends its process",
    "hung": "does not end",
}


def _said(outcome: Outcome) -> str:
    others = outcome - {"passed"} if len(outcome) > 1 else outcome
    return " and ".join(_VERBS.get(word, word) for word in sorted(others)) or "is not reported"


def _with_deeds(nodeid: str, leaks: Sequence[Leak]) -> str:
    """A test, and what it leaves behind; as much of that as a line has room for."""
    deeds = [f"{deed(leak)} ({leak.where})" if leak.where else deed(leak) for leak in leaks[:_DEEDS]]
    if len(leaks) > _DEEDS:
        deeds.append(f"{len(leaks) - _DEEDS} more")
    return f"{nodeid}, which {', '.join(deeds)}" if deeds else nodeid


def _patience(limit: float | None, run: float) -> float:
    """Seconds that a test may take in a trial: it may do for ever alone what it does at once after others.

    Args:
        limit: seconds that each of its phases may take, if there is a limit.
        run: seconds that the whole run has taken, of which one test alone may need all that was set up for it.

    Example:
        >>> _patience(5.0, run=100.0), _patience(600.0, run=100.0), _patience(None, run=100.0)
        (15.0, 160.0, 160.0)
    """
    enough = _LEAST + run
    return enough if limit is None else min(enough, len(_PHASES) * limit)


class Polluters:
    """The hooks of such a run.

    Args:
        config: of the run.
        limit: seconds that each phase of a test may take; None for no limit.
    """

    def __init__(self, config: pytest.Config, limit: float | None) -> None:
        self._config = config
        self._limit = limit
        self._usual = OutcomeOf(config)
        self._findings: list[Finding] = []
        self._trials: Trials | None = None

    def unit_of(self, item: pytest.Item) -> str:
        """The run itself is one unit."""
        return "the run"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        self._usual.pytest_runtest_logreport(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """See pytest: what is found out is found out when the run is over, and before anything is summed up."""
        began = time.monotonic()
        result = yield
        if not self._config.option.collectonly:
            self._trials = Trials(session, _patience(self._limit, time.monotonic() - began))
            for finding in _findings([i for i in session.items if i.nodeid in self._usual.found], self):
                self._findings.append(finding)
        return result

    def usual(self, item: pytest.Item) -> Outcome:
        """What has come of it in the run."""
        return self._usual.found[item.nodeid]

    def outcome(self, item: pytest.Item, after: Sequence[pytest.Item] = ()) -> Outcome:
        """What comes of it after these, and nothing else."""
        assert self._trials is not None
        return self._trials([*after, item]).get(item.nodeid, frozenset())

    def left_by(self, items: Sequence[pytest.Item]) -> Mapping[str, list[Leak]]:
        """What these tests leave behind, one after the other."""
        assert self._trials is not None
        return self._trials.left_by(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """See pytest: a suite whose tests depend on each other has not passed."""
        if self._findings and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """See pytest."""
        if self._trials is None:
            return
        terminalreporter.write_sep("=", _TITLE)
        for finding in self._findings:
            terminalreporter.write_line(str(finding))
        if not self._findings:
            terminalreporter.write_line("none: each test comes out alone as it does in the run")
        tests, trials = len(self._usual.found), self._trials.number
        terminalreporter.write_line(f"({tests} tests, and {trials} forks of the process that had collected them)")


def _findings(items: Sequence[pytest.Item], run: Polluters) -> Iterator[Finding]:
    known: list[Sequence[pytest.Item]] = []
    for number, item in enumerate(items):
        alone = run.outcome(item)
        if alone != run.usual(item):
            after = _after(item, items[:number], run, known)
            if after and after not in known:
                known.insert(0, after)
            yield Finding(item.nodeid, run.usual(item), alone, None if after is None else run.left_by(after))


def _after(
    item: pytest.Item, earlier: Sequence[pytest.Item], run: Polluters, known: Sequence[Sequence[pytest.Item]]
) -> Sequence[pytest.Item] | None:
    """The fewest tests after which it comes out as in the run. What others have suffered from is tried first."""

    def suffices(after: Sequence[pytest.Item]) -> bool:
        return run.outcome(item, after) == run.usual(item)

    for after in known:
        if suffices(after):
            return fewest(after, suffices, trials=_TRIALS)
    if not earlier or suffices([]) or not suffices(earlier):
        return None
    return fewest(earlier, suffices, trials=_TRIALS)
