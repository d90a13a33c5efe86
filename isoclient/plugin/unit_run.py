"""A unit of tests as the run's process has it: asked for one test after the other, listened to, and survived."""

from __future__ import annotations

import mmap
import sys
import warnings
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import pytest

from isoclient.compat.pytest_ import make_directory_of_run, note_failed_subtests, put_properties
from isoclient.drive.prompts import is_at_work
from isoclient.drive.waiting import Deadline
from isoclient.mirror.measurement import running
from isoclient.plugin.told_reports import ReportWriter, report_of
from isoclient.plugin.unit import PHASES, Unit, flush_all
from isoclient.plugin.unit_coverage import take_in
from isoclient.plugin.unit_processes import UnitProcesses
from isoclient.plugin.units import Units
from isoclient.process.unit_process import UnitLine, UnitProcess
from isoclient.transit.exceptions import unpack_exception

__all__ = ["Frame", "UnitRun"]

_MOMENT: Final = 0.5  # seconds after an interrupt in which the unit says that it is interrupted, too, if it is
_GRACE: Final = 10.0  # seconds that a unit which is interrupted may take


class _TooLong(Exception):
    """It does not come to the end of what it is at."""


class Frame:
    """What all units of a run have in common.

    Args:
        session: of the run.
        units: of the run.

    Attributes:
        processes: of the units.
    """

    def __init__(self, session: pytest.Session, units: Units) -> None:
        self.session = session
        self.units = units
        self.numbers = {item: number for number, item in enumerate(session.items)}
        self.phase = mmap.mmap(-1, 1)
        self.processes = UnitProcesses(self._start)
        self._write = ReportWriter(session.config)

    def _start(self) -> UnitProcess:
        coverage, config = running(), self.session.config

        def main(line: UnitLine) -> None:
            self.units.begin()
            Unit(self.session, line, self._write, self.phase, coverage).run()

        make_directory_of_run(config)
        flush_all(config)
        return UnitProcess(main)

    def prepare_next(self, item: pytest.Item) -> None:
        """The unit of this test has begun: have a process for the next one, if there is one."""
        unit = self.units.unit_of(item)
        behind = islice(self.session.items, self.numbers[item], None)
        following = next((found for found in map(self.units.unit_of, behind) if found != unit), None)
        if following is not None:  # those of a worker may be none of what follows; then it is not used
            self.processes.prepare()


class UnitRun:
    """A unit.

    Args:
        frame: what it has in common with the others.

    Attributes:
        is_over: whether it has run its last test, or has died.
    """

    def __init__(self, frame: Frame) -> None:
        self.is_over = False
        self._frame = frame
        self._session = frame.session
        self._config = frame.session.config
        self._phase = frame.phase
        self._process: UnitProcess | None = None
        self._last: pytest.Item | None = None  # the one before
        self._item: pytest.Item
        self._has_begun = False
        self._has_prompt = False
        self._sections: list[tuple[str, str]] = []
        self._tasks = ""  # where those of its event loops wait, once it has been asked

    def run(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test there.

        Args:
            item: the test.
            nextitem: the next one of the unit; None if there is none.

        Returns:
            Whether it has been run. It has not if the process has died before, of what an earlier one has left behind.

        Raises:
            BaseException: what ends the run, such as :class:`KeyboardInterrupt`.
        """
        self._item, self._has_begun, self._has_prompt, self._sections = item, False, False, []
        is_new = self._process is None
        if self._process is None:
            self._process = self._frame.processes.take()
            self._phase[0] = 0
        numbers = self._frame.numbers
        self._process.send("run", numbers[item], None if nextitem is None else numbers[nextitem])
        if is_new:
            self._frame.prepare_next(item)
        if not self._has_lived():
            return self._has_begun or self._last is None
        self._last = item
        if nextitem is None:
            self._see_off()
        return True

    def stop(self) -> None:
        """Let it tear down what it has set up, and end.

        Raises:
            BaseException: what is raised by that.
        """
        if self._process is not None and not self.is_over:
            self._has_begun = False
            self._process.send("end")
            if self._has_lived():
                self._see_off()

    # -- listening

    def _has_lived(self) -> bool:
        """Listen until it has done what it was asked for; return False if it has died of that."""
        try:
            while True:
                what, *told = self._next_message()
                if what == "done":
                    self._see_whether_to_stop(*told)
                    return True
                if what == "raised":
                    raise unpack_exception(*told)
                _TOLD[what](self, *told)
        except _TooLong:
            limit = self._frame.units.limit
        except EOFError:
            limit = None
        self._die(limit)
        return False

    def _next_message(self) -> tuple[Any, ...]:
        assert self._process is not None
        while True:
            try:
                message = self._process.receive(self._frame.units.limit)
            except KeyboardInterrupt:
                message = self._interrupted()
            if message is not None:
                return message
            if not (self._has_prompt or is_at_work()):
                raise _TooLong

    def _interrupted(self) -> tuple[Any, ...] | None:
        """This process has been. So has the unit, where that came from the keyboard; else it is now.

        Returns:
            What it says of that; None if a debugger takes care of it.
        """
        assert self._process is not None
        deadline, is_passed_on = Deadline(_MOMENT), False
        message: tuple[Any, ...] | None = ()
        try:
            while not self._has_prompt:
                message = self._process.receive(deadline.remaining())
                if message is not None and message[0] == "raised":
                    return message
                if message is not None and message[0] != "done":
                    _TOLD[message[0]](self, *message[1:])
                elif message is not None or is_passed_on:
                    break
                else:
                    self._process.interrupt()
                    deadline, is_passed_on = Deadline(_GRACE), True
            if self._has_prompt:
                return None
        except EOFError:
            pass
        except BaseException:
            self._drop()
            raise
        if message is None:
            self._process.ask_for_stacks()
            from isoclient.plugin.last_words import words_of_interrupted

            sys.stderr.write(words_of_interrupted(self._process.stacks()))
            self._drop()
        raise KeyboardInterrupt

    def _see_whether_to_stop(self, shouldfail: Any, shouldstop: Any) -> None:
        if shouldfail and not self._session.shouldfail:
            self._session.shouldfail = shouldfail
        if shouldstop and not self._session.shouldstop:
            self._session.shouldstop = shouldstop

    # -- its end

    def _drop(self) -> None:
        self.is_over = True
        if self._process is not None:
            self._process.end()

    def _see_off(self) -> None:
        """All is torn down, and it ends."""
        assert self._process is not None
        self.is_over = True
        if not self._process.await_leaving():
            from isoclient.plugin.last_words import words_of_stuck

            self._warn(words_of_stuck(self._item.path.name, self._process.stacks()))
        elif self._process.exitcode:
            self._report("teardown", None, "its exit")
        else:
            self._frame.processes.let_go(self._process)

    def _die(self, limit: float | None) -> None:
        """It has died, or is to die because it does not come to the end of a phase within this time."""
        assert self._process is not None
        if limit is not None:
            self._process.ask_for_stacks()
            self._tasks = self._process.ask_for_tasks()
        phase = PHASES[self._phase[0]]
        self._drop()
        if self._has_begun or self._last is None:
            if not self._has_begun:
                self._tell_start(self._item.nodeid, self._item.location)
            self._report(phase or "setup", limit, phase)
            self._tell_finish(self._item.nodeid, self._item.location)
        else:
            self._item = self._last
            self._report("teardown", limit, phase)

    def _report(self, when: str, limit: float | None, phase: str) -> None:
        from isoclient.plugin.last_words import Death, failure_by  # with much that is seldom needed

        assert self._process is not None
        death = Death(self._process.exitcode, limit, phase, self._process.stacks(), self._tasks)
        report = failure_by(death, self._item, when)
        report.sections += self._sections
        for name, text in zip(("stdout", "stderr"), self._captured(), strict=True):
            if text:
                report.sections.append((f"Captured {name} {when}", text))
        self._item.ihook.pytest_runtest_logreport(report=report)

    def _captured(self) -> tuple[str, str]:
        """Where descriptors are captured, in files that both processes have, it is there what the other has written."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is None or not capture.is_globally_capturing():
            return "", ""
        try:
            out, err = capture.read_global_capture()
        except (AssertionError, AttributeError):  # an interrupt has ended it, and has shown what there was
            return "", ""
        return out, err

    def _warn(self, text: str) -> None:
        path, line, _ = self._item.location
        message = warnings.WarningMessage(RuntimeWarning(text), RuntimeWarning, path, (line or 0) + 1)
        self._record(message, "runtest", self._item.nodeid, None)

    def _record(self, message: warnings.WarningMessage, when: str, nodeid: str, location: Any) -> None:
        hook: Any = self._config.hook.pytest_warning_recorded
        hook.call_historic(kwargs={"warning_message": message, "when": when, "nodeid": nodeid, "location": location})

    # -- what is told

    def _tell_start(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._has_begun = True
        self._item.ihook.pytest_runtest_logstart(nodeid=nodeid, location=location)

    def _tell_finish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._item.ihook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def _answer(self, what: str, *told: Any) -> None:
        _TOLD[what](self, *told)
        assert self._process is not None
        flush_all(self._config)  # before the unit prints more
        self._process.send("on", self._session.shouldfail, self._session.shouldstop)

    def _tell_text(self, text: str, markup: dict[str, bool]) -> None:
        self._config.get_terminal_writer().write(text, flush=True, **markup)

    def _tell_report(self, how: str, written: Any, failed_subtests: int) -> None:
        report = report_of(self._config, how, written)
        note_failed_subtests(self._config, report, failed_subtests)
        self._sections = list(report.sections)
        self._item.ihook.pytest_runtest_logreport(report=report)

    def _tell_warning(
        self, packed: Any, shown: tuple[Any, ...], has_source: bool, when: str, nodeid: str, location: Any
    ) -> None:
        error: Any = unpack_exception(packed)
        # Of the source, pytest asks only whether it is there, and where it was made, which is known over there alone.
        source = object() if has_source else None
        filename, line, text = shown
        message = warnings.WarningMessage(error, type(error), filename, line, line=text, source=source)
        self._record(message, when, nodeid, location)

    def _tell_coverage(self, found: Any, unmatched: list[str]) -> None:
        take_in(found, unmatched)

    def _tell_properties(self, of_run: list[Any], nodeid: str, of_test: dict[str, Any]) -> None:
        put_properties(self._config, of_run, nodeid, of_test)

    def _tell_prompt(self, is_open: bool) -> None:
        self._has_prompt = is_open


_TOLD: Final[dict[str, Callable[..., None]]] = {
    "start": UnitRun._tell_start,
    "finish": UnitRun._tell_finish,
    "report": UnitRun._tell_report,
    "warning": UnitRun._tell_warning,
    "coverage": UnitRun._tell_coverage,
    "properties": UnitRun._tell_properties,
    "prompt": UnitRun._tell_prompt,
    "text": UnitRun._tell_text,
    "ask": UnitRun._answer,
}
