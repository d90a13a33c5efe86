"""What the apps of each test leave behind: asked for when the test is over, and told with its report.

It goes with the report of the teardown, as plain values, from the process that a test has run in to that of the run.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any, Final

import pytest

from isoclient.client.app_copy import as_leaks
from isoclient.client.registry import registry
from isoclient.leaks.found import Leak
from isoclient.leaks.kind import Subject
from isoclient.leaks.noticing import Noticing
from isoclient.leaks.pictures import Pictures
from isoclient.plugin.leak_rules import Rules
from isoclient.system.modules import os, time
from isoclient.transit.libraries import whose

__all__ = ["LEAKS", "LeakWatch"]

LEAKS: Final = "isoclient_leaks"
"""The attribute of a report: kind, what and where of each leak, and None for an app of which that is not known."""
_LOOKS: Final = 5
_BETWEEN_LOOKS: Final = 0.01  # seconds
_PATIENCE: Final = 5.0  # seconds that an app which lives on may take to answer


class LeakWatch:
    """The hooks in the process that tests run in.

    Args:
        rules: which leaks are accepted.
        fails: whether a test that leaks fails.
    """

    def __init__(self, rules: Rules, *, fails: bool) -> None:
        self._rules = rules
        self._fails = fails
        self._left: list[list[Leak] | None] = []
        self._found: dict[str, list[Any]] = {}
        self._pictures: Any = None  # of this process, if the apps run here
        self._is_others = False  # whether what is done is not the test's
        self._is_in_call = False
        self._of_plugins: tuple[str, ...] = ()

    def take(self, left: list[Leak] | None) -> None:
        """An app ends, and has left this behind; None if that is not known."""
        self._left.append(left)

    # -- where tests run together with their apps

    def begin_unit(self, plugins: pytest.PytestPluginManager) -> None:
        """This is a process for such tests: it is the one that is looked at. What plugins of pytest do is theirs."""
        gc.freeze()  # so that a look need not go through all that the run has imported
        self._is_others = True  # until the first test begins
        self._of_plugins = tuple(places_of_plugins(plugins))
        subject = Subject()
        Noticing(subject).begin()
        self._pictures = Pictures(subject)

    def _look(self) -> None:
        if self._pictures is not None:
            found = self._pictures.look(is_held=False)
            self._pictures.go_on(found)
            found = [one for one in found if one.origin is None or not one.origin.file.startswith(self._of_plugins)]
            self.take([Leak(one.kind, one.what, one.origin.where if one.origin else "") for one in found])

    def _settle(self) -> None:
        """Let what is about to end by itself do so."""
        for _ in range(_LOOKS if self._pictures is not None else 0):
            if self._pictures.is_settled(()):
                break
            time.sleep(_BETWEEN_LOOKS)

    def _look_before_others(self) -> None:
        """From now on something is done that is not the test's, and may be what it has done before."""
        if not self._is_others:
            self._look()
        self._is_others = self._pictures is not None

    def _be_the_tests(self) -> None:
        """From now on all that is done is the test's."""
        if self._is_others:
            self._is_others = False
            self._pictures.renew()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """See pytest. What a fixture of a wider scope makes is its own, and is not what the test leaves behind."""
        if self._pictures is None or fixturedef.scope == "function":
            self._be_the_tests()
            return (yield)
        self._look_before_others()
        try:
            return (yield)
        finally:
            request.addfinalizer(self._look_before_others)  # the first that is called
            if self._is_in_call:  # by request.getfixturevalue
                self._be_the_tests()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """See pytest."""
        self._be_the_tests()
        self._is_in_call = True
        try:
            return (yield)
        finally:
            self._is_in_call = False

    # -- a test

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """See pytest. What has been left before is not this test's."""
        self._left.clear()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """See pytest. When all is torn down, look at what is there still."""
        try:
            result = yield
        finally:
            found = self._found_by(item)
        if found and self._fails:
            pytest.fail(_text(found), pytrace=False)
        return result

    def _found_by(self, item: pytest.Item) -> list[Leak]:
        if self._is_others:
            self.take([])  # it has been looked at before the fixtures of wider scopes were torn down
        else:
            self._settle()
            self._look()
        for copy in registry.of_this_test():
            if copy.is_there and copy.looks_for_leaks:
                told = copy.ask("leaks", True, _PATIENCE)
                self.take(None if told is None else as_leaks(told))
        left, self._left = self._left, []
        found = self._rules.apply(leak for leaks in left for leak in leaks or ())
        if left:
            self._found[item.nodeid] = [[leak.kind, leak.what, leak.where] for leak in found] + [None] * left.count(
                None
            )
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """See pytest."""
        report = yield
        if call.when == "teardown" and (found := self._found.pop(item.nodeid, None)) is not None:
            setattr(report, LEAKS, found)
        return report


def places_of_plugins(plugins: pytest.PytestPluginManager) -> Iterator[str]:
    """The beginnings of the paths of pytest and of its plugins that are installed."""
    for plugin in [pytest, *plugins.get_plugins()]:
        module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and whose(file) == "installed":
            package = str(module.__name__ if module is not None else "").partition(".")[0]
            root, _, _ = file.rpartition(f"{os.sep}{package}")
            yield f"{root}{os.sep}{package}"


def _text(leaks: list[Leak]) -> str:
    lines = "".join(f"  {leak}\n" for leak in leaks)
    example = next((leak for leak in leaks if leak.where), leaks[0])
    file = example.where.rpartition(":")[0]
    return (
        f"this test has left behind:\n{lines}"
        "What is meant to stay is accepted by a line of the setting isoclient_leaks_accepted, such as\n"
        f"  {example.kind}: {f'{file}:*' if file else example.what}"
    )
