"""Tests that run together with their apps, in a fork of the process of their run: the hooks in that process.

The run's process collects, and no more. A *unit* is the tests of a file that follow each other, or one test. Its
process is a fork of the run's, in which nothing has been set up; there the tests run, and all is torn down. How that
goes comes to the hooks here, so that terminal, reports, cache and coverage see what they see without.

Who runs the tests asks for one after the other, pytest's own loop or that of pytest-xdist, and knows the next one. So a
process is asked for one test after the other, too, and the one before the next unit is told that none follows.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from isoclient.compat.pluggy_ import can_silence
from isoclient.plugin.units import Units
from isoclient.system.modules import os

if TYPE_CHECKING:
    from isoclient.plugin.unit_run import Frame, UnitRun

__all__ = ["Together"]


class Together:
    """The hooks of the run.

    Args:
        config: of the run.
        units: of the run.
    """

    def __init__(self, config: pytest.Config, units: Units) -> None:
        self._config = config
        self._units = units
        self._frame: Frame | None = None
        self._unit: UnitRun | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See pytest: tell of what can't be before anything runs."""
        first = next((item for item in items if self._units.unit_of(item) is not None), None)
        if first is not None and (reason := _why_not()):
            raise pytest.UsageError(f"{first.nodeid} is to run together with its app, which can't be: {reason}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """See pytest. What is registered last is outermost: no plugin is to hear of a test that runs elsewhere."""
        plugins = self._config.pluginmanager
        plugins.register(_Inner(self), "isoclient-together-inner")
        plugins.register(_Outer(), "isoclient-together-outer")
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """See pytest: if there is a unit still, the run has stopped amid it, and it tears down what it has set up."""
        unit, self._unit = self._unit, None
        try:
            if unit is not None:
                unit.stop()
        finally:
            if self._frame is not None:
                self._frame.processes.close()

    def run(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test elsewhere, if that is where it is to run; return whether it has been run."""
        unit = self._units.unit_of(item)
        if unit is None:
            if self._frame is not None:
                self._frame.processes.discard()  # it would not know of what this one sets up and changes
            return False
        if nextitem is not None and self._units.unit_of(nextitem) != unit:
            nextitem = None
        has_run = False
        while not has_run:
            if self._unit is None:
                self._unit = self._new_unit(item.session)
            has_run = self._unit.run(item, nextitem)
            if self._unit.is_over:
                self._unit = None
        return True

    def _new_unit(self, session: pytest.Session) -> UnitRun:
        from isoclient.plugin.unit_run import Frame, UnitRun

        if self._frame is None:
            self._frame = Frame(session, self._units)
        return UnitRun(self._frame)

    def needs_this_process_as_it_was(self, item: pytest.Item | None) -> bool:
        """Whether this test is to run in a fork of it: nothing may be set up then."""
        return item is not None and self._units.unit_of(item) is not None


def _why_not() -> str:
    if not hasattr(os, "fork"):
        return "it needs os.fork, which this platform has not"
    return "" if can_silence() else "this version of pluggy is not built like those that isoclient knows"


class _Played(Exception):
    """The test has been run: no plugin is to hear of it any more."""


class _Outer:
    """Within this one, nobody but the other one hears of a test that runs elsewhere, not even a wrapper."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """See pytest."""
        try:
            return (yield)
        except _Played:
            return True


class _Inner:
    """What goes on if a test does not run here goes on here, before the protocol has begun for anybody else."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self._is_within = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """See pytest."""
        if self._is_within:
            return (yield)
        if self._together.run(item, nextitem):
            raise _Played
        if not self._together.needs_this_process_as_it_was(nextitem):
            return (yield)
        self._is_within = True
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            self._is_within = False
        raise _Played
