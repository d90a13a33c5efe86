"""What becomes of clients in the course of a run: whose they are, when they are closed, what a failed test tells.

A client belongs to the test that makes it: in its call phase or in a fixture of function scope. One that is made in a
fixture of a wider scope, at import or at collection belongs to whoever made it, and is left alone.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from isoclient.client.registry import Client, registry

__all__ = ["Watch"]


class Watch:
    """The hooks of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._makers: list[_Test | None] = []
        self._test: _Test | None = None

    def begin(self) -> Callable[[], None]:
        """Watch the clients of this process; return what ends that."""
        before, registry.watch = registry.watch, self._take

        def end() -> None:
            registry.watch = before

        return end

    def _take(self, client: Client) -> None:
        """There is a new client."""
        _prepare(self._config)
        if self._makers and self._makers[-1] is not None:
            self._makers[-1].clients.append(weakref.ref(client))

    # -- the phases of a test

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """See pytest: a test begins."""
        self._test = _Test(item)
        registry.test += 1
        if registry.clients:
            _prepare(self._config)
        wanted = sys.modules.get("isoclient.mirror.run")
        if wanted is not None:
            wanted.run.epoch += 1
        try:
            return (yield)
        finally:
            self._test = None

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """See pytest. A fixture of any scope is set up within a test, the first that asks for it."""
        return (yield from self._made_by(self._test if fixturedef.scope == "function" else None))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """See pytest."""
        return (yield from self._made_by(self._test))

    def _made_by(self, test: _Test | None) -> Generator[None, object, object]:
        if test is not None:
            test.close_at_the_end()
        self._makers.append(test)
        try:
            return (yield)
        finally:
            self._makers.pop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """See pytest: add a section for each app that a failed test has used."""
        report = yield
        if report.failed and registry.clients:
            from isoclient.plugin.reports import sections

            report.sections += sections()
        return report


class _Test:
    """A test under way, and the clients that it has made."""

    def __init__(self, item: pytest.Item) -> None:
        self.clients: list[weakref.ref[Client]] = []  # one that the test drops ends at once
        self._item = item
        self._registered = False

    def close_at_the_end(self) -> None:
        """See to it that the clients are closed with the test.

        To be called before its first fixture is set up: what is registered first is called last, so that the teardown
        of its fixtures still has its clients, and what the fixtures of wider scopes provide is still there.
        """
        if not self._registered:
            self._registered = True
            self._item.addfinalizer(self._close)

    def _close(self) -> None:
        with ExitStack() as stack:  # all are closed, the last one first, and a failure is told
            for reference in self.clients:
                if (client := reference()) is not None:
                    stack.callback(client.close)
            self.clients.clear()
            self._registered = False  # it may be run again, by a plugin that does so with tests that failed


def _prepare(config: pytest.Config) -> None:
    """What the rest of isoclient is to know of this run; as soon as there is a client, and once more for each test."""
    if config.getoption("showlocals", False) or config.getoption("usepdb", False):
        from isoclient.mirror.run import run

        run.locals = True
    _lend_the_terminal(config)


def _lend_the_terminal(config: pytest.Config) -> None:
    """A debugger in the app needs the terminal that pytest has captured."""
    from isoclient.drive import terminal

    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        terminal.hooks.suspend = partial(_suspend, config, capture)
        terminal.hooks.resume = capture.resume


def _suspend(config: pytest.Config, capture: Any) -> None:
    config.hook.pytest_enter_pdb(config=config, pdb=None)  # pytest-timeout, for one, has no time limit from then on
    capture.suspend(in_=True)
