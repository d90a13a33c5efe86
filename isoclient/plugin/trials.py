"""Some tests of a run in this order, in a fork of its process: only what comes of each is wanted.

Nothing of them is seen or reported. They run by pytest's own protocol, as in a unit of tests that run together with
their apps (see :mod:`isoclient.plugin.unit`); what is set up is torn down there, and a process that dies or hangs is
what has come of the test that it was at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from isoclient.compat.pluggy_ import silence
from isoclient.leaks.found import Leak
from isoclient.plugin.leak_rules import Rules
from isoclient.plugin.leak_watch import LEAKS, LeakWatch
from isoclient.plugin.unit import HEARING, OF_RUN, TOLD, flush_all
from isoclient.process.unit_process import PATIENCE, UnitLine, UnitProcess

__all__ = ["ENDED", "Outcome", "OutcomeOf", "Trials"]

Outcome = frozenset[str]
"""What has come of a test, in the words that pytest counts them by: ``{"passed"}``, or ``{"passed", "error"}``."""

ENDED: Final = "isoclient_ended"
"""The attribute of the report of a test that has ended its process: the word of its outcome, here below."""

_AGAIN: Final = 0.5
"""Seconds that the processes may take to end when one did not: a test that leaves a thread does so in each trial."""
_DIED: Final = frozenset(["died"])
_HUNG: Final = frozenset(["hung"])


class OutcomeOf:
    """Hears the reports of tests, and knows the outcome of each.

    Args:
        config: of the run.

    Attributes:
        found: by the identifiers of the tests, in the order of their ends.
        left: what each has left behind, where that is watched.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.found: dict[str, Outcome] = {}
        self.left: dict[str, list[list[str]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        word = self._config.hook.pytest_report_teststatus(report=report, config=self._config)[0]
        ended: str | None = getattr(report, ENDED, None)
        if ended:  # as in a trial, which hears nothing else of such a test
            self.found[report.nodeid] = frozenset([ended])
        elif word:
            self.found[report.nodeid] = self.found.get(report.nodeid, frozenset()) | {word}
        left: list[list[str] | None] = getattr(report, LEAKS, [])
        self.left.setdefault(report.nodeid, []).extend(leak for leak in left if leak is not None)


class Trials:
    """Runs tests of a run in forks of its process, in which nothing has been set up.

    Args:
        session: of the run.
        patience: seconds that each test may take.

    Attributes:
        number: of how many there have been.
    """

    def __init__(self, session: pytest.Session, patience: float) -> None:
        self._session = session
        self._patience = patience
        self._patience_at_end = PATIENCE
        self.number = 0

    def __call__(self, items: Sequence[pytest.Item]) -> Mapping[str, Outcome]:
        """Run these, one after the other; return what has come of each, by its identifier.

        Those behind one that has ended the process are missing.
        """
        outcomes: dict[str, Outcome] = {}
        for told, item in zip(self._told(items, watches=False), items, strict=False):
            outcomes[item.nodeid] = told if isinstance(told, frozenset) else frozenset(told[0])
        return outcomes

    def left_by(self, items: Sequence[pytest.Item]) -> Mapping[str, list[Leak]]:
        """Run these, one after the other; return what each leaves behind in the process, by its identifier."""
        left: dict[str, list[Leak]] = {}
        for told, item in zip(self._told(items, watches=True), items, strict=False):
            left[item.nodeid] = [] if isinstance(told, frozenset) else [Leak(*leak) for leak in told[1]]
        return left

    def _told(self, items: Sequence[pytest.Item], *, watches: bool) -> Iterator[Outcome | tuple[Any, ...]]:
        """What is told of each; or the outcome of one that has ended the process, and is the last.

        To be asked until there is no more: only then the process has come to its end by itself.
        """
        self.number += 1
        flush_all(self._session.config)
        process = UnitProcess(lambda line: _Trial(self._session, line, watches=watches).run(items))
        try:
            for _ in items:
                message = process.receive(self._patience)
                if message is None:
                    yield _HUNG
                    return
                yield message
            if not process.await_leaving(self._patience_at_end):
                self._patience_at_end = _AGAIN
        except EOFError:
            yield _DIED
        finally:
            process.end()


class _Trial:
    """What is done in the fork."""

    def __init__(self, session: pytest.Session, line: UnitLine, *, watches: bool) -> None:
        config = session.config
        self._line = line
        self._heard = OutcomeOf(config)
        self._hook = config.hook
        plugins = config.pluginmanager
        if watches:
            rules = Rules(config.getini("isoclient_leaks_accepted"), str(config.rootpath))
            plugins.register(watch := LeakWatch(rules, fails=False), "isoclient-leaks-of-trial")
            watch.begin_unit(plugins)
        for name in OF_RUN:
            plugins.unregister(name=name)
        plugins.register(self._heard, "isoclient-trial")
        hearing = [self._heard, *(plugins.get_plugin(name) for name in HEARING)]
        for name in TOLD:
            silence(getattr(self._hook, name), but=hearing)
        config.get_terminal_writer().write = _write_nothing  # type: ignore[method-assign]

    def run(self, items: Sequence[pytest.Item]) -> None:
        with contextlib.suppress(pytest.exit.Exception):  # which is the end of the run, here of this process
            self._run(items)

    def _run(self, items: Sequence[pytest.Item]) -> None:
        for item, nextitem in zip(items, [*items[1:], None], strict=True):
            self._hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
            self._line.send(list(self._heard.found.get(item.nodeid, ())), self._heard.left.get(item.nodeid, []))


def _write_nothing(msg: str, *, flush: bool = False, **markup: bool) -> None:
    """In the place of what writes to the terminal."""
