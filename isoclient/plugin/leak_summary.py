"""What the tests of a run have left behind: at its end, in the terminal and as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from isoclient.leaks.found import Leak
from isoclient.plugin.leak_watch import LEAKS
from isoclient.system.modules import io, json

__all__ = ["LeakSummary"]

_NOBODY = (
    "No app of these tests has run in a process of its own, so that nothing is known of what they leave behind: run "
    "them with --isolated, or make clients with isolated=True."
)


class LeakSummary:
    """The hooks in the process of the run.

    Args:
        file: the absolute path of where the JSON is written; empty for none.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._tests = 0
        self._unknown: dict[str, None] = {}
        self._groups: dict[tuple[str, str], tuple[Leak, dict[str, None]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest: what goes with the report of the teardown."""
        found: list[list[str] | None] | None = getattr(report, LEAKS, None)
        if found is not None:
            self._tests += 1
            for entry in found:
                self._note(entry, report.nodeid)

    def _note(self, entry: list[str] | None, test: str) -> None:
        """All that one line leaves behind is one: threads and tasks have numbers in their names."""
        if entry is None:
            self._unknown[test] = None
            return
        leak = Leak(*entry)
        _, tests = self._groups.setdefault((leak.kind, leak.where or leak.what), (leak, {}))
        tests[test] = None

    def _sorted(self) -> list[tuple[Leak, list[str]]]:
        """Those that most tests leave come first."""
        return sorted(((leak, list(tests)) for leak, tests in self._groups.values()), key=lambda group: -len(group[1]))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """See pytest: write the JSON."""
        if self._file and not hasattr(session.config, "workerinput"):
            leaks = [
                {"kind": leak.kind, "what": leak.what, "where": leak.where, "tests": tests}
                for leak, tests in self._sorted()
            ]
            with io.open(self._file, "w", encoding="utf-8") as file:
                json.dump({"tests": self._tests, "unknown": list(self._unknown), "leaks": leaks}, file, indent=2)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """See pytest."""
        if terminalreporter.config.option.collectonly:
            return
        terminalreporter.section("isoclient: left behind")
        for line in self._lines():
            terminalreporter.write_line(line)

    def _lines(self) -> list[str]:
        if not self._tests:
            return [_NOBODY]
        lines = [f"{leak}, left behind by {_count(tests)}" for leak, tests in self._sorted()]
        if self._unknown:
            unknown = "A process has died, or did not answer, and what was left in it is not known"
            lines.append(f"{unknown}: {_count(self._unknown)}")
        return lines or [f"Nothing, by {self._tests} test{'s' * (self._tests != 1)} whose apps were looked at."]


def _count(tests: Any) -> str:
    names = list(tests)
    return names[0] if len(names) == 1 else f"{len(names)} tests, first {names[0]}"
