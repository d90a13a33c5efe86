"""How long a copy of the app lives: what is behind a client, by the value of ``TestClient(isolated=...)``.

A further one is a class, and a line in :data:`LIFETIMES`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, Final, NoReturn

import requests

from isoclient.client.app_copy import AppCopy, Patch, warn_of
from isoclient.client.call import Call, shows_app_errors
from isoclient.client.copy_plan import Plan
from isoclient.client.defaults import Default, said
from isoclient.client.registry import registry
from isoclient.client.supervisor import Supervisor
from isoclient.drive.failures import DeadlineExceeded
from isoclient.process.launchers import Launcher, launcher_for
from isoclient.server.setup import Setup
from isoclient.wire.protocol import LIFESPANS, CallSpec

__all__ = ["LIFETIMES", "ForEachCall", "ForEachTest", "WithClient"]


class WithClient(Supervisor):
    """As long as the client, in a process of its own: there is one copy at most."""

    lasts = "as long as its client"

    @classmethod
    def launcher(cls, setup: Setup, method: str | Default | None) -> Launcher:
        """See :meth:`Supervisor.launcher`."""
        return launcher_for(setup, isolated=True, method=said(method))

    def copy(self) -> AppCopy:
        """See :meth:`Supervisor.copy`. It is started if there is none, or if the last one is of no use."""
        for copy in self.copies[:1]:
            if copy.test == registry.test and copy.is_usable:
                return copy
        with self._lock:
            for copy in list(self.copies):
                if copy.is_usable and not self._is_over(copy):
                    copy.note_its_use()
                    return copy
                self._replace(copy)
            return self._start(lifespan=self._is_entered)

    def _is_over(self, copy: AppCopy) -> bool:
        """Whether one that could be used on is to be replaced by a fresh one; asked at its first use in each test."""
        return False

    def _replace(self, copy: AppCopy) -> None:
        if self._is_closing():
            raise requests.ConnectionError("the client was closed before the app was started")
        if copy.is_usable:
            copy.end()
        else:
            copy.see_off(for_good=self._restarts)

    @property
    def pid(self) -> int:
        """See :attr:`Supervisor.pid`. It is started if it does not run."""
        return self.copy().handle.pid

    def install(self, patch: Patch) -> None:
        """See :meth:`Supervisor.install`."""
        with self._lock:
            self.copy().install(patch)
            self.patches.append(patch)

    def enter(self) -> None:
        """See :meth:`Supervisor.enter`. The app is started for that."""
        with self._lock:
            self._is_entered = True
            try:
                self.copy().start_lifespan()  # of one that ran already
            except BaseException:
                self.close()
                raise

    def restart(self) -> None:
        """See :meth:`Supervisor.restart`."""
        with self._lock:
            is_entered = self._is_entered
            self.close()
            if is_entered:
                self.enter()
            else:
                self.copy()


class ForEachTest(WithClient):
    """One process within a test, and a fresh one at the first use in the next; as long as the client that is entered.

    It is ended when the teardown of its test is over, still within that: so what it has to say at its end comes to the
    test that has used it, and the next test has nothing to wait for.
    """

    lasts = "until the end of this test"

    def _described(self) -> str:
        return f"isolated ({self.plan.launcher.name}, afresh for each test)"

    def _start(self, *, lifespan: bool, patches: tuple[Patch, ...] = ()) -> AppCopy:
        registry.of_test.add(self)  # first: there is something to be ended, whatever interrupts the start
        return super()._start(lifespan=lifespan, patches=patches)

    def _is_over(self, copy: AppCopy) -> bool:
        """Of one that was started before any test, as a module was imported, and could not be ended with one."""
        return copy.test != registry.test and not self._is_kept

    @property
    def _is_kept(self) -> bool:
        return self._is_entered or self.plan.has_outer_lifespan()

    @shows_app_errors
    def end_with_test(self) -> None:
        """See :class:`isoclient.client.registry.EndsWithTest`."""
        with self._lock, contextlib.ExitStack() as stack:
            if self._is_kept:
                registry.of_test.add(self)  # until somebody leaves it
                return
            for copy in list(self.copies):
                stack.callback(copy.end)


class _InAThread(WithClient):
    """The same in a thread of this process."""

    @classmethod
    def launcher(cls, setup: Setup, method: str | Default | None) -> Launcher:
        """See :meth:`Supervisor.launcher`. The default is for those that start a process."""
        return launcher_for(setup, isolated=False, method=None if isinstance(method, Default) else method)


class _LastCall(Call):
    """The one call of a copy of the app. The copy ends with it."""

    copy: _CopyForOneCall | None = None

    def failure(self) -> BaseException | None:
        try:
            error = super().failure()
        except BaseException:
            self._leave()
            raise
        try:
            if self.copy is not None:
                self.copy.end()
        except Exception as ending:
            if error is None:
                raise
            error.add_note(f"After this was raised, the end of the app failed too: {ending!r}")
        return error

    def abandon(self) -> None:
        super().abandon()
        self._leave()

    def fail(self, error: Exception) -> NoReturn:
        try:
            super().fail(error)
        finally:
            if self.lost or not (self.outlives_timeouts and isinstance(error, DeadlineExceeded)):
                self._leave()

    def _leave(self) -> None:
        if self.copy is not None:
            self.copy.leave()

    def __del__(self) -> None:
        self._leave()


class _CopyForOneCall(AppCopy):
    """One that ends with the one thing that it is asked for, and of which nothing stays."""

    shares_locals = False
    is_left = False
    """Whether nobody waits for its end any more. It has been told to end, and whoever comes next sees to it."""

    def open(self, spec: CallSpec, *, doing: str, timeout: float | None, request: Any = None) -> Call:
        """Begin the one call."""
        try:
            call = self._begin(_LastCall, spec, doing, timeout, request, self._plan.owner())
            call.copy = self
        except BaseException as error:
            self._end_after(error)
            raise
        return call

    def relay(self, spec: CallSpec, *, doing: str) -> Call:
        """Begin the one call; or its lifespan, which somebody else runs, too."""
        if spec.kind in LIFESPANS:
            return super().relay(spec, doing=doing)
        call = self._begin(_LastCall, spec, doing, self._plan.timeout, None, self._plan.owner(), waits=False)
        call.copy = self
        return call

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trusted: bool = False
    ) -> Any:
        """Make the one call, of a function."""
        try:
            result = super().call(func, args, kwargs, trusted)
        except BaseException as error:
            self._end_after(error)
            raise
        self.end()
        return result

    def state(self) -> dict[str, Any]:
        """The state of its lifespan, which it is asked for once."""
        try:
            return super().state()
        finally:
            self.end()

    def leave(self) -> None:
        """Tell it to end, without waiting for that: the garbage collector may be the one that leaves."""
        if self._is_over or self.is_left or not self._is_up or self.handle.abandoned:
            return
        self.is_left = True
        self._lifespan = None  # the server shuts it down by itself
        if self.handle.connection.lost is None:
            self.handle.connection.ask_to_end()
        else:
            warn_of(self.end, self._plan)


class ForEachCall(Supervisor):
    """A fork of the test's process as it is then for each request, WebSocket or function. It ends with that."""

    kind_of_copy = _CopyForOneCall
    lasts = "for one request"

    def __init__(self, plan: Plan, *, restarts: bool) -> None:
        super().__init__(plan, restarts=restarts)
        self._last_pid: int | None = None

    @classmethod
    def launcher(cls, setup: Setup, method: str | Default | None) -> Launcher:
        """See :meth:`Supervisor.launcher`. The default is for those that leave open how."""
        if method != "fork" and method is not None and not isinstance(method, Default):
            raise ValueError(
                f'isolated="request" forks this process for each request, so that start_method={method!r} can\'t be: '
                "leave it out, or use isolated=True, which keeps one process of the app"
            )
        if isinstance(setup.app, str):
            raise ValueError(
                'isolated="request" needs the app itself, not where it is to be imported from '
                f"({setup.app!r}): each request gets a fork of this process, which should have imported it. Import the "
                "app and pass that, or use isolated=True"
            )
        if not hasattr(os, "fork"):
            raise ValueError('isolated="request" needs os.fork, which this platform has not; use isolated=True')
        return launcher_for(setup, isolated=True, method="fork")

    def _described(self) -> str:
        return "isolated (a fork for each request)"

    def copy(self) -> AppCopy:
        """See :meth:`Supervisor.copy`."""
        copy = self._start(lifespan=self._is_entered)
        self._last_pid = copy.handle.pid
        return copy

    def _start(self, *, lifespan: bool, patches: tuple[Patch, ...] = ()) -> AppCopy:
        for left in list(self.copies):
            if isinstance(left, _CopyForOneCall) and left.is_left:
                warn_of(left.end, self.plan)  # whoever left it is gone, and another request is not to fail by it
        return super()._start(lifespan=lifespan, patches=patches)

    def _try_out(self, *, lifespan: bool = False, patches: tuple[Patch, ...] = ()) -> None:
        """See whether a copy can be started so. It is ended then."""
        self._start(lifespan=lifespan, patches=patches).end()

    def _take_over(self, copy: AppCopy) -> None:
        """What any of them has left behind is told, though it may be the same each time."""
        self.left = None if self.left is None or copy.left is None else [*self.left, *copy.left]

    @property
    def pid(self) -> int:
        """See :attr:`Supervisor.pid`. That of the last copy, which may have ended."""
        if self._last_pid is None:
            raise RuntimeError(
                'nothing has run yet: with isolated="request" each request has a process of its own, and client.pid is '
                "that of the last one"
            )
        return self._last_pid

    def install(self, patch: Patch) -> None:
        """See :meth:`Supervisor.install`."""
        self._try_out(patches=(patch,))
        self.patches.append(patch)

    def enter(self) -> None:
        """See :meth:`Supervisor.enter`.

        A copy is made, and ended, to see whether that can be done: a startup that fails should be told here, and not by
        a request, or by none.
        """
        if self.plan.lifespan != "off" and not self._is_entered:
            self._try_out(lifespan=True)
        self._is_entered = True

    def restart(self) -> None:
        """See :meth:`Supervisor.restart`. What still runs is ended."""
        with self._lock:
            is_entered = self._is_entered
            self.close()
            self._is_entered = is_entered


LIFETIMES: Final[dict[bool | str, type[Supervisor]]] = {
    False: _InAThread,
    True: WithClient,
    "client": WithClient,
    "test": ForEachTest,
    "request": ForEachCall,
}
"""By what a client is given as ``isolated``."""
