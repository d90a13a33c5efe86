"""How long a copy of the app lives: a policy for each value of ``TestClient(isolated=...)``.

A further one is a class, and a line in :data:`LIFETIMES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn

from isoclient.client.app_copy import AppCopy, warn_of
from isoclient.client.call import Call
from isoclient.client.registry import Usage
from isoclient.drive.failures import DeadlineExceeded
from isoclient.server.setup import Setup
from isoclient.wire.protocol import CallSpec

__all__ = ["LIFETIMES", "ForEachCall", "Lifetime"]


class Lifetime:
    """As long as its client; what a subclass may say otherwise.

    Attributes:
        kind_of_copy: what a copy is.
        ends_with_call: whether each call has a copy of its own.
    """

    kind_of_copy: ClassVar[type[AppCopy]] = AppCopy
    ends_with_call: ClassVar = False

    def check(self, setup: Setup, method: str | None) -> None:
        """See that an app can live so.

        Args:
            setup: what is to be started.
            method: the start method that the user asks for, if so.

        Raises:
            ValueError: it can't.
        """

    def is_over(self, usage: Usage, *, entered: bool) -> bool:
        """Whether a copy that could be used on is to be replaced by a fresh one; asked at the first use in each test.

        Args:
            usage: which copies the present test has used.
            entered: whether the client is used in ``with``, which runs the lifespan.
        """
        return False

    def describe(self, method: str) -> str:
        """In a few words, for the client's ``repr``."""
        return method


class _LastCall(Call):
    """The one call of a copy of the app. The copy ends with it."""

    copy: _CopyForOneCall | None = None

    def end(self) -> BaseException | None:
        try:
            error = super().end()
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

    def _fail(self, error: Exception) -> NoReturn:
        try:
            super()._fail(error)
        finally:
            if self.lost or not (self.outlives_timeouts and isinstance(error, DeadlineExceeded)):
                self._leave()

    def _leave(self) -> None:
        if self.copy is not None:
            self.copy.leave()

    def __del__(self) -> None:
        self._leave()


class _CopyForOneCall(AppCopy):
    """One that ends with the one thing that it is asked for."""

    kind_of_call = _LastCall

    def open(self, spec: CallSpec, *, doing: str, timeout: float | None, request: Any = None) -> Call:
        """Begin the one call."""
        try:
            call = super().open(spec, doing=doing, timeout=timeout, request=request)
            assert isinstance(call, _LastCall)
            call.copy = self
        except BaseException as error:
            self._end_after(error)
            raise
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
            warn_of(self.end)


class ForEachCall(Lifetime):
    """A fork of the test's process as it is then for each request, WebSocket or function. It ends with that."""

    kind_of_copy = _CopyForOneCall
    ends_with_call = True

    def check(self, setup: Setup, method: str | None) -> None:
        """See :meth:`Lifetime.check`."""
        if method not in (None, "fork"):
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

    def describe(self, method: str) -> str:
        """See :meth:`Lifetime.describe`."""
        return "a fork for each request"


LIFETIMES: Final[dict[bool | str, Lifetime]] = {
    False: Lifetime(),
    True: Lifetime(),
    "request": ForEachCall(),
}
"""By what a client is given as ``isolated``."""
