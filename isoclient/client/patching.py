"""``client.patched("shop.payments.charge", ...)``: a patch in the app's process, for the length of a ``with`` block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self
from unittest import mock

import requests

from isoclient.client.app_copy import Ask
from isoclient.client.call import shows_app_errors
from isoclient.client.supervisor import Supervisor
from isoclient.server import patches
from isoclient.system.modules import os

__all__ = ["AppPatch"]

_numbers: Final = itertools.count(1)


class AppPatch:
    """A patch in the app's process, in force within its ``with`` block. Made by :meth:`isoclient.TestClient.patched`.

    It records the calls of a function that was put in place, or of a mock. The arguments come over when they are asked
    for; what cannot cross arrives as a :class:`~isoclient.StandIn`. A copy of the app that starts meanwhile, after a
    crash or for ``isolated="request"``, is patched too. What a process that crashed had recorded is lost with it.

    Example:
        >>> from isoclient import TestClient
        >>> import os
        >>> async def app(scope, receive, send): ...
        >>> client = TestClient(app, isolated=True)
        >>> with client.patched("os.getlogin", lambda: "ada") as getlogin:
        ...     client.call(lambda: os.getlogin())
        'ada'
        >>> getlogin.assert_called_once_with()
        >>> getlogin.calls
        [call()]
    """

    __module__ = "isoclient"  # where it is to be imported from

    def __init__(self, supervisor: Supervisor, target: str, options: dict[str, Any]) -> None:
        self.target = target
        self._supervisor = supervisor
        self._is_here = supervisor.plan.launcher.shares_memory
        self._options = options
        self._key = f"{os.getpid()}-{next(_numbers)}"
        self._past: list[Any] = []
        self._records = True
        self._in_force = False

    @classmethod
    def of(cls, supervisor: Supervisor, target: str, args: tuple[Any, ...], options: dict[str, Any]) -> AppPatch:
        """The patch for the arguments of ``client.patched``.

        Raises:
            TypeError: they do not go together.
        """
        if "." not in target or not all(part.isidentifier() for part in target.split(".")):
            raise TypeError(
                f'{target!r} names nothing that can be patched in the app: write "package.module.attribute". What '
                "sends an HTTP PATCH is client.patch()"
            )
        if len(args) > 1:
            raise TypeError(f"patched({target!r}, ...) takes one replacement, not {len(args)}")
        if args and "new" in options:
            raise TypeError(f"patched({target!r}, ...) got two replacements: by position and as new=")
        return cls(supervisor, target, {"new": args[0], **options} if args else options)

    def __repr__(self) -> str:
        return f"<AppPatch of {self.target}, {'in force' if self._in_force else 'not in force'}>"

    # -- its life

    @shows_app_errors
    def __enter__(self) -> Self:
        """Patch; the app is started if it does not run.

        Raises:
            ImportError, AttributeError: there is no such target in the app's process.
            ObjectNotSendable: the replacement, or an option, can't cross from one process to the other.
        """
        if self._in_force:
            raise RuntimeError(f"the patch of {self.target} is in force already")
        if self._is_here:
            self.begin(_here)
        else:
            self._supervisor.install(self)
        self._in_force = True
        return self

    @shows_app_errors
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Undo it. Where the process has ended that it was in force in, there is nothing to undo."""
        if not self._in_force:
            return
        self._in_force = False
        try:
            if self._is_here:
                self.finish(_here)
            else:
                self._supervisor.uninstall(self)
        except requests.RequestException as ending:
            # What failed inside the block comes first; most likely it is the same.
            if error is None:
                raise
            error.add_note(f"While this was raised, undoing the patch of {self.target} failed too: {ending!r:.200}")

    # -- for the copies of the app

    def begin(self, ask: Ask) -> None:
        """See :class:`isoclient.client.app_copy.Patch`."""
        ask(patches.start, self._key, self.target, self._options)

    def recorded(self, ask: Ask) -> list[Any]:
        """See :class:`isoclient.client.app_copy.Patch`."""
        return self._unpacked(ask(patches.calls, self._key, self._is_here))

    def finish(self, ask: Ask) -> None:
        """See :class:`isoclient.client.app_copy.Patch`."""
        self._past += self._unpacked(ask(patches.stop, self._key, self._is_here))

    def _unpacked(self, packed: Any) -> list[Any]:
        if packed is None:
            self._records = False
            return []
        if isinstance(packed, bytes):
            from isoclient.transit import unpack_debug

            packed = unpack_debug(packed).get("calls", ())
        return [mock.call(*args, **kwargs) for args, kwargs in packed]

    # -- what it tells

    @property
    @shows_app_errors
    def calls(self) -> list[Any]:
        """The calls so far, in order, as :data:`unittest.mock.call` objects; ``call.args`` and ``call.kwargs``.

        Raises:
            TypeError: what was put in place is neither a function nor a mock, so that no calls are recorded.
        """
        running: list[Any] = []
        if self._in_force:
            running = self.recorded(_here) if self._is_here else self._supervisor.recorded(self)
        if not self._records:
            raise TypeError(
                f"{self.target} was replaced by {self._options.get('new')!r}, whose calls are not recorded: those of "
                "functions and mocks are"
            )
        return self._past + running

    @property
    def called(self) -> bool:
        """Whether it was called."""
        return bool(self.calls)

    @property
    def call_count(self) -> int:
        """How often it was called."""
        return len(self.calls)

    @property
    def call_args(self) -> Any:
        """The last call, or None."""
        return calls[-1] if (calls := self.calls) else None

    def assert_called(self) -> None:
        """It was called."""
        self._as_mock().assert_called()

    def assert_called_once(self) -> None:
        """It was called exactly once."""
        self._as_mock().assert_called_once()

    def assert_called_with(self, /, *args: Any, **kwargs: Any) -> None:
        """The last call had these arguments."""
        self._as_mock().assert_called_with(*args, **kwargs)

    def assert_called_once_with(self, /, *args: Any, **kwargs: Any) -> None:
        """There was exactly one call, and it had these arguments."""
        self._as_mock().assert_called_once_with(*args, **kwargs)

    def assert_any_call(self, /, *args: Any, **kwargs: Any) -> None:
        """Some call had these arguments."""
        self._as_mock().assert_any_call(*args, **kwargs)

    def assert_has_calls(self, calls: Sequence[Any], any_order: bool = False) -> None:
        """These calls were made, one after the other, or in any order."""
        self._as_mock().assert_has_calls(calls, any_order)

    def assert_not_called(self) -> None:
        """It was not called."""
        self._as_mock().assert_not_called()

    def _as_mock(self) -> mock.Mock:
        """A mock that was called alike, whose assertions and their texts are those that everybody knows."""
        replayed = mock.Mock(name=self.target)
        for call in self.calls:
            replayed(*call.args, **call.kwargs)
        return replayed


def _here(func: Callable[..., Any], *args: Any) -> Any:
    return func(*args)
