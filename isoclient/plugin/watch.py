"""What becomes of clients in the course of a run: whose they are, when they are closed, what a failed test tells.

A client belongs to the test that makes it: in its call phase or in a fixture of function scope. One that a module of
tests makes as it is imported, or a fixture of a wider scope, belongs to that: see
:mod:`isoclient.plugin.lasting_clients`. One that is made anywhere else at import or at collection belongs to whoever
made it, and is left alone.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from isoclient.client.registry import Client, registry
from isoclient.mirror.watchlist import watchlist

if TYPE_CHECKING:
    from isoclient.client.copy_record import CopyRecord
    from isoclient.plugin.lasting_clients import LastingClients

    _Maker: TypeAlias = "_Test | pytest.FixtureDef[Any]"

__all__ = ["Watch"]


class Watch:
    """The hooks of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._makers: list[_Maker | None] = []
        self._test: _Test | None = None
        self._lasting_clients: LastingClients | None = None
        self._fixtures: set[str] = set()  # those that have made a client for a test
        self._interrupted = ""

    def begin(self) -> Callable[[], None]:
        """Watch the clients of this process; return what ends that."""
        before = registry.watch, registry.look
        registry.watch, registry.look = self.take, self.look

        def end() -> None:
            registry.watch, registry.look = before

        return end

    def take(self, client: Client) -> None:
        """There is a new client."""
        _prepare(self._config)
        self._show_fixtures()
        if not self._makers:
            self._lasting.note(client)
        elif isinstance(maker := self._makers[-1], _Test):
            maker.clients.append(weakref.ref(client))
        elif maker is not None:
            self._lasting.note_fixture(client, maker)
            # Not by pytest's hook: of what is raised there, pytest 8 keeps the value, and forgets what else was raised.
            maker.addfinalizer(partial(self._end_with, maker))

    @property
    def _lasting(self) -> LastingClients:
        if self._lasting_clients is None:
            from isoclient.plugin.lasting_clients import LastingClients

            self._lasting_clients = LastingClients()
        return self._lasting_clients

    def _end_with(self, fixture: pytest.FixtureDef[Any]) -> None:
        with registry.between_tests():
            self._lasting.end_with(fixture)

    @property
    def _maker(self) -> _Test | None:
        """The test that makes what is made now, if it is one."""
        maker = self._makers[-1] if self._makers else None
        return maker if isinstance(maker, _Test) else None

    def keep(self, app: Client) -> None:
        """A client that others have written has been given an app, which all such clients of it have in common.

        The test keeps it: what it has left in the app's process is there when it makes its next client.
        """
        test = self._maker
        if test is None or app not in test.apps:
            self.take(app)
            if test is not None:
                test.apps.append(app)

    def look(self, copy: CopyRecord, error: BaseException) -> None:
        """A copy of an app is about to end amid an exception."""
        if self._maker is not None:  # which may fail by it
            from isoclient.plugin.differences import look_while_it_is_there

            look_while_it_is_there(copy, error)

    # -- the phases of a test

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """See pytest: a test begins."""
        self._test = _Test(item)
        registry.test += 1
        registry.name = item.nodeid
        if registry.clients:
            _prepare(self._config)
        if self._fixtures.isdisjoint(getattr(item, "fixturenames", ())):
            _await_the_departed()
        watchlist.forget_what_is_as_it_was()
        wanted = sys.modules.get("isoclient.mirror.run")
        if wanted is not None:
            wanted.run.epoch += 1
        self._show_fixtures()
        try:
            return (yield)
        except KeyboardInterrupt:
            if registry.used:
                from isoclient.plugin.reports import ended_from_outside

                self._interrupted = ended_from_outside()
            raise
        finally:
            self._test, registry.name = None, ""
            self._show_fixtures()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """See pytest: a test that Ctrl-C has ended has no report, but may have waited for an app."""
        if self._interrupted:
            terminalreporter.section("isoclient: waited for when interrupted")
            terminalreporter.write_line(self._interrupted.rstrip())

    def _show_fixtures(self) -> None:
        """Let the apps of this test know what it has been given; there are some only if there is a client."""
        if registry.clients:
            import isoclient.mirror.run  # noqa: F401  # so small that it costs nothing, if there is a client
        wanted = sys.modules.get("isoclient.mirror.run")
        if wanted is not None:
            wanted.run.fixtures = {} if self._test is None else self._test.fixtures
            wanted.run.given = {} if self._test is None else self._test.given

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """See pytest. A fixture of any scope is set up within a test, the first that asks for it."""
        test = self._test if fixturedef.scope == "function" else None
        before = 0 if test is None else len(test.clients)
        result = yield from self._made_by(test or fixturedef)
        if test is not None:
            test.fixtures[fixturedef.argname] = result
            if len(test.clients) > before:
                self._fixtures.add(fixturedef.argname)
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """See pytest."""
        return (yield from self._made_by(self._test))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """See pytest. All fixtures are torn down; what the app says at its end is within the test still."""
        try:
            return (yield)
        finally:
            with registry.between_tests():
                registry.end_test()
                if self._lasting_clients is not None:
                    self._lasting_clients.end_after(item, nextitem)

    def _made_by(self, maker: _Maker | None) -> Generator[None, object, object]:
        if isinstance(maker, _Test):
            maker.close_at_the_end()
        self._makers.append(maker)
        try:
            return (yield)
        finally:
            self._makers.pop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """See pytest: add a section for each app that a failed test has used."""
        report = yield
        if report.failed and registry.used:
            from isoclient.plugin.reports import sections

            error = call.excinfo.value if call.excinfo else None
            report.sections += sections(error if call.when == "call" else None, error)
        return report


class _Test:
    """A test under way, and the clients that it has made."""

    def __init__(self, item: pytest.Item) -> None:
        self.clients: list[weakref.ref[Client]] = []  # one that the test drops ends at once
        self.apps: list[Client] = []
        self.given: dict[str, object] = getattr(item, "funcargs", {})
        self.fixtures: dict[str, object] = {}  # those of function scope that are set up so far
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
        with registry.between_tests(), ExitStack() as stack:  # all are closed, the last one first; a failure is told
            for reference in self.clients:
                if (client := reference()) is not None:
                    stack.callback(client.close)
            self.clients.clear()
            self.apps.clear()
            self._registered = False  # it may be run again, by a plugin that does so with tests that failed


def _await_the_departed() -> None:
    """A test that has children of its own may wait for any of them, or have a handler for their end.

    One that is given a client has an app, too; what is left of those before is waited for when that is started.
    """
    if (ended := sys.modules.get("isoclient.process.departed")) is not None:
        ended.departed.await_all()


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
