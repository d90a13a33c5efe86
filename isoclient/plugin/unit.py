"""The process of a unit of tests that run together with their apps: what it does, and what it tells.

It is a fork of the run's process, in which nothing but the collection has been done. Here each test runs by pytest's
own protocol, with the hooks of all plugins; but for those by which a run hears of tests. What these would be called
with is told to the run's process, which calls them there; and so is what is written to the terminal as tests go on.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from isoclient.compat.pluggy_ import silence
from isoclient.compat.pytest_ import failed_subtests, properties_of_run, properties_of_test
from isoclient.plugin.told_reports import ReportWriter
from isoclient.plugin.unit_coverage import UnitCoverage
from isoclient.plugin.unit_processes import deaf_to_interrupts
from isoclient.process.unit_process import UnitLine
from isoclient.transit.codecs import PipeCodec

__all__ = ["HEARING", "OF_RUN", "PHASES", "TOLD", "Unit", "flush_all"]

TOLD: Final = (
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_warning_recorded",
)
"""The hooks that are called in the run's process."""
# What the session and live logs need to go on: they count failures, and know which test is on.
HEARING: Final = ("session", "logging-plugin")

OF_RUN: Final = ("isoclient-together", "isoclient-together-inner", "isoclient-together-outer")
"""The plugins by which the run's process runs tests elsewhere; there are none of them here."""

PHASES: Final = ("", "setup", "call", "teardown")
"""Of a test; none is between two tests."""


class Unit:
    """The process, and the hooks in it.

    Args:
        session: the session.
        line: to the run's process.
        write: how reports are written for that.
        phase: one byte that both processes have, for the number of the phase that is on.
        coverage: what measures the run's process.
    """

    def __init__(
        self, session: pytest.Session, line: UnitLine, write: ReportWriter, phase: Any, coverage: Any = None
    ) -> None:
        self._session = session
        self._config = session.config
        self._line = line
        self._phase = phase
        self._codec = PipeCodec()
        self._coverage = UnitCoverage(coverage)
        self._write = write
        self._properties = len(properties_of_run(self._config))
        self._is_to_end = False
        self._is_live = _is_live(self._config)
        # One that is registered hears of all warnings that there have been.
        self._is_on = False
        self._take_the_place_of_others()
        self._is_on = True

    def _take_the_place_of_others(self) -> None:
        plugins = self._config.pluginmanager
        for name in OF_RUN:
            plugins.unregister(name=name)
        plugins.register(self, "isoclient-unit")
        hearing = [self, *(plugins.get_plugin(name) for name in HEARING)]
        for name in TOLD:
            silence(getattr(self._config.hook, name), but=hearing)
        if plugins.has_plugin("terminalreporter"):
            self._config.get_terminal_writer().write = self._write_to_terminal  # type: ignore[method-assign]

    def run(self) -> None:
        """Run the tests that are asked for, until all is torn down."""
        with deaf_to_interrupts():
            what, *numbers = self._line.receive()
        while what != "end":
            item, nextitem = (None if number is None else self._session.items[number] for number in numbers)
            protocol = self._config.hook.pytest_runtest_protocol
            has_run = self._tell_how_it_goes(partial(protocol, item=item, nextitem=nextitem))
            if has_run and nextitem is None:
                return
            what, *numbers = ("end",) if self._is_to_end else self._line.receive()
        self._tell_how_it_goes(self._tear_down)

    def _tear_down(self) -> None:
        """Tear down all that is set up still, as pytest does at the end of a session."""
        self._is_to_end = False
        self._phase[0] = PHASES.index("teardown")
        runner: Any = self._config.pluginmanager.get_plugin("runner")
        runner.pytest_sessionfinish(session=self._session)

    def _tell_how_it_goes(self, do: Callable[[], object]) -> bool:
        try:
            do()
        except BaseException as error:
            self._tell_coverage()
            if not self._is_to_end:
                self._line.send("raised", self._codec.pack_exception(error))
            return False
        self._phase[0] = 0
        self._tell_coverage()
        self._line.send("done", self._session.shouldfail, self._session.shouldstop)
        return True

    def _tell_coverage(self) -> None:
        if (found := self._coverage.take()) is not None:
            self._line.send("coverage", *found)

    def _tell(self, *message: Any, wait: bool = False) -> None:
        """Say something.

        Args:
            *message: what.
            wait: whether to go on only when the run's process has acted on it: what is printed next comes behind that,
                or it may have found that the run is to stop.
        """
        if not (wait or self._is_live):
            self._line.send(*message)
            return
        flush_all(self._config)  # what a test has printed comes before what is printed of it
        self._line.send("ask", *message)
        what, *answer = self._line.receive()
        if what == "end":  # it has failed there
            self._is_to_end = True
            pytest.exit("the run has ended")
        shouldfail, shouldstop = answer
        if shouldfail:
            self._session.shouldfail = shouldfail
        if shouldstop:
            self._session.shouldstop = shouldstop

    # -- the phases

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """See pytest."""
        self._phase[0] = PHASES.index("setup")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """See pytest."""
        self._phase[0] = PHASES.index("call")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """See pytest."""
        self._phase[0] = PHASES.index("teardown")

    # -- what is told

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """See pytest."""
        self._tell("start", nodeid, location)

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """See pytest."""
        self._tell("finish", nodeid, location)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        self._tell_properties(report)
        how, written = self._write(report)
        self._tell("report", how, written, failed_subtests(self._config, report), wait=not report.passed)

    def _tell_properties(self, report: pytest.TestReport) -> None:
        of_run = properties_of_run(self._config)
        new, self._properties = of_run[self._properties :], len(of_run)
        of_test = properties_of_test(self._config, report)
        if new or of_test:
            self._tell("properties", new, report.nodeid, of_test)

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """See pytest."""
        if not self._is_on:
            return
        message = warning_message.message
        if not isinstance(message, Warning):
            message = warning_message.category(message)
        shown = warning_message.filename, warning_message.lineno, warning_message.line
        has_source = warning_message.source is not None
        self._tell("warning", self._codec.pack_exception(message), shown, has_source, when, nodeid, location)

    def pytest_enter_pdb(self) -> None:
        """See pytest: somebody is reading and typing, and nothing is late."""
        self._tell("prompt", True)

    def pytest_leave_pdb(self) -> None:
        """See pytest."""
        self._tell("prompt", False)

    def _write_to_terminal(self, msg: str, *, flush: bool = False, **markup: bool) -> None:
        """In the place of that of the terminal: it is known over there alone where its cursor is."""
        self._tell("text", msg, markup, wait=True)


def flush_all(config: pytest.Config) -> None:
    """Write what the streams of this process, and the terminal, have kept back. Never raises."""
    writer = config.get_terminal_writer() if config.pluginmanager.has_plugin("terminalreporter") else None
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, writer):
        with contextlib.suppress(Exception):
            stream.flush()  # type: ignore[union-attr]


def _is_live(config: pytest.Config) -> bool:
    """Whether tests print to the terminal by themselves, amid what pytest prints."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    return capture is None or not capture.is_globally_capturing() or config.getoption("capture") == "tee-sys"
