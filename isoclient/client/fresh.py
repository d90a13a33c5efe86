"""A fresh copy of the app for each request: a fork of the test's process as it is then, which ends with the request."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from isoclient.client.call import Call
from isoclient.client.registry import Usage
from isoclient.client.runner import AppRunner, warn_of
from isoclient.client.runners import Lifespan, Patch
from isoclient.drive.failures import DeadlineExceeded
from isoclient.process.setup import maker
from isoclient.server.setup import Setup
from isoclient.system.modules import os
from isoclient.wire.protocol import CallSpec

__all__ = ["FreshRunner"]


class FreshRunner:
    """Starts an app for each call, and ends it with the call.

    Args:
        setup: what is started.
        timeout: how long a wait may take, in seconds, where nothing else is said.
        lifespan: see :data:`isoclient.client.runners.Lifespan`.

    Attributes: see :class:`isoclient.client.runners.Runner`.
    """

    isolated = True

    def __init__(self, setup: Setup, timeout: float | None, lifespan: Lifespan) -> None:
        self.setup = setup
        self.timeout = timeout
        self.lifespan = lifespan
        self.owner: Callable[[], object] = lambda: None
        self.usage = Usage()
        self.patches: list[Patch] = []
        self._lives: list[_Life] = []
        self._wants_lifespan = False
        self._last_pid: int | None = None

    # -- calls

    def open(
        self,
        spec: CallSpec,
        *,
        doing: str,
        timeout: float | None,
        request: Any = None,
    ) -> Call:
        """Begin a call of a fresh copy of the app."""
        life = self._begin()
        return life.open(spec, doing=doing, timeout=timeout, request=request)

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trusted: bool = False
    ) -> Any:
        """Call a function in the process of a fresh copy of the app, which ends then."""
        return self._begin().call(func, args, kwargs, trusted)

    def state(self) -> dict[str, Any]:
        """The state of a fresh copy of the app, which ends then."""
        if not self._wants_lifespan:
            return {}
        life = self._begin()
        try:
            return life.state()
        finally:
            life.close()

    def _begin(self) -> _Life:
        self._close_the_left()
        life = _Life(self)
        self._lives.append(life)
        self._last_pid = life.begin(lifespan=self._wants_lifespan)
        return life

    def _try_out(self, *, lifespan: bool) -> None:
        life = _Life(self)
        self._lives.append(life)
        life.begin(lifespan=lifespan)
        life.close()

    def _close_the_left(self) -> None:
        for life in [life for life in self._lives if life.left]:
            warn_of(life.close)  # whoever left it is gone, and another request is not to fail by it

    def forget(self, life: _Life) -> None:
        """It has ended."""
        with contextlib.suppress(ValueError):  # another thread was faster
            self._lives.remove(life)

    # -- the life of a client

    @property
    def pid(self) -> int:
        """The process of the latest call.

        Raises:
            RuntimeError: there has been none.
        """
        if self._last_pid is None:
            raise RuntimeError(
                'nothing has run yet: with isolated="request" each request has a process of its own, and client.pid is '
                "that of the last one"
            )
        return self._last_pid

    def describe(self) -> str:
        """See :class:`isoclient.client.runners.Runner`."""
        running = ", ".join(str(life.running.pid) for life in list(self._lives) if life.running is not None)
        return "isolated (a fork for each request), " + (f"pid {running}" if running else "not running")

    def enter(self) -> None:
        """From now on, each copy runs its lifespan around its one call.

        One copy is made, and ended, to see whether that can be done: a startup that fails should be told here, where it
        is in the other modes, and not by a request, or by none.
        """
        if self.lifespan != "off" and not self._wants_lifespan:
            self._try_out(lifespan=True)
        self._wants_lifespan = True

    def restart(self) -> None:
        """End what still runs. Each call has a fresh copy anyway."""
        self._end_all()

    def close(self) -> None:
        """End what still runs."""
        self._wants_lifespan = False
        self._end_all()

    def _end_all(self) -> None:
        self._close_the_left()
        for life in list(self._lives):
            life.dismiss()
        with contextlib.ExitStack() as stack:  # all of them are closed, and the first failure is told
            for life in list(self._lives):
                stack.callback(life.close)

    # -- patches

    def install(self, patch: Patch) -> None:
        """Put a patch into force in each copy from now on. One copy is made to see whether that can be done."""
        self.patches.append(patch)
        try:
            self._try_out(lifespan=False)
        except BaseException:
            self.patches.remove(patch)
            raise

    def uninstall(self, patch: Patch) -> None:
        """See :class:`isoclient.client.runners.Runner`."""
        self.patches.remove(patch)
        for life in list(self._lives):
            if patch in life.patches:
                life.uninstall(patch)

    def peek(self, patch: Patch) -> list[Any]:
        """See :class:`isoclient.client.runners.Runner`."""
        return [call for life in list(self._lives) if patch in life.patches for call in life.peek(patch)]


class _LastCall(Call):
    """The one call of a copy of the app. The copy ends with it."""

    life: _Life | None = None

    def end(self) -> BaseException | None:
        try:
            error = super().end()
        except BaseException:
            self._leave()
            raise
        try:
            if self.life is not None:
                self.life.close()
        except Exception as ending:
            if error is None:
                raise
            error.add_note(f"After this was raised, the end of the app failed too: {ending!r}")
        return error

    def abandon(self) -> None:
        super().abandon()
        self._leave()

    def _fail(self, error: Exception) -> NoReturn:
        try:
            super()._fail(error)
        finally:
            if self.lost or not (self.outlives_timeouts and isinstance(error, DeadlineExceeded)):
                self._leave()

    def _leave(self) -> None:
        if self.life is not None:
            self.life.leave()

    def __del__(self) -> None:
        self._leave()


class _Life(AppRunner):
    """One copy of the app, from its start to its end.

    Attributes:
        left: whether nobody waits for its end any more. It has been told to end, and whoever comes next sees to it.
    """

    kind_of_call: ClassVar = _LastCall

    def __init__(self, runner: FreshRunner) -> None:
        super().__init__(
            maker("fork"),
            runner.setup,
            runner.timeout,
            restarts=False,
            method="fork",
            lifespan=runner.lifespan,
        )
        self.owner = runner.owner
        self.usage = runner.usage
        self.patches = list(runner.patches)
        self.left = False
        self._forget = runner.forget

    def begin(self, *, lifespan: bool) -> int:
        """Start it, and return its process."""
        self._wants_lifespan = lifespan
        try:
            return self.handle().pid
        except BaseException as error:
            self._close_after(error)
            raise

    def open(self, *args: Any, **kwargs: Any) -> Call:
        """Begin the one call."""
        try:
            call = super().open(*args, **kwargs)
            assert isinstance(call, _LastCall)
            call.life = self
        except BaseException as error:
            self._close_after(error)
            raise
        return call

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trusted: bool = False
    ) -> Any:
        """Make the one call, of a function."""
        try:
            result = super().call(func, args, kwargs, trusted)
        except BaseException as error:
            self._close_after(error)
            raise
        self.close()
        return result

    def _close_after(self, error: BaseException) -> None:
        if self._is_closing():
            return  # another thread closes it, and this one need not wait for that
        try:
            self.close()
        except Exception as ending:
            error.add_note(f"After this was raised, the end of the app failed too: {ending!r}")

    def leave(self) -> None:
        """Tell it to end, without waiting for that: the garbage collector may be the one that leaves."""
        handle = self._handle
        if handle is None or handle.abandoned or self.left:
            return
        self.left = True
        self._lifespan = None  # the server shuts it down by itself
        if handle.connection.lost is None:
            handle.connection.ask_to_end()
        else:
            warn_of(self.close)

    def dismiss(self) -> None:
        """Whoever still waits for it is told that the client was closed, and nobody starts it again."""
        self._dismiss((os.getpid(), object()))

    def close(self) -> None:
        """End it, in order, and for good."""
        try:
            self.dismiss()
            super().close()
        finally:
            if self._handle is None and self._starting is None:  # else its end has been interrupted
                self._forget(self)
