"""What is called in each process of an app as it begins, and as it ends: for those who own what a copy can't share.

Functions are registered in the test's process. A fork has them with its memory; to a fresh interpreter they are sent.
Where the app runs in the test's process they are not called, for there is no process that begins.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import FunctionType
from typing import Any, Final, TypeAlias, TypeVar

from isoclient.errors import AppNotFound, NotAnApp
from isoclient.server.app import check_import_string, import_app
from isoclient.system.modules import time

__all__ = ["END_TIME", "Hook", "Hooks", "Within", "at_end", "at_start", "check_hook", "hooks"]

Hook: TypeAlias = "Callable[[], object] | str"
"""A function without arguments, or where it is to be imported from: ``"package.module:function"``."""

_Func = TypeVar("_Func", bound=Callable[[], object])
Within: TypeAlias = Callable[[float, Awaitable[object]], Awaitable[bool]]
"""Awaits something for so many seconds at most; returns whether that has been enough."""

END_TIME: Final = 2.0
"""Seconds that all functions for the end of one process may take together."""


class Hooks:
    """Those that are registered in this process.

    Attributes:
        start: for the beginning, in the order of their calls.
        end: for the end, the other way round.
    """

    def __init__(self) -> None:
        self.start: list[Hook] = []
        self.end: list[Hook] = []

    def export(self) -> dict[str, list[Hook]]:
        """What is to be sent to a fresh interpreter."""
        return {"start": self.start, "end": self.end}

    def take(self, exported: dict[str, list[Hook]]) -> None:
        """In a fresh interpreter: register what was sent; first, for importing it may have registered it here."""
        for name, sent in exported.items():
            own = getattr(self, name)
            own[:] = sent + [hook for hook in own if not _is_among(hook, sent)]

    def begin(self) -> Iterator[Awaitable[object]]:
        """Call those for the beginning. What is yielded is to be awaited, on the app's loop, before the next is called.

        Raises:
            BaseException: whatever one of them raises.
        """
        for hook in list(self.start):
            result = _found(hook, "isoclient_at_start")()
            if hasattr(type(result), "__await__"):
                yield result  # type: ignore[misc]

    def finish(self, within: Within) -> Iterator[Awaitable[object]]:
        """The same for the end, where what they raise is told as a warning, and none has more time than is left.

        Args:
            within: how the loop awaits something for a while.
        """
        until = time.monotonic() + END_TIME
        for hook in reversed(self.end):
            try:
                result = _found(hook, "isoclient_at_end")()
            except BaseException as error:
                _warn(hook, f"raised {_in_words(error)}")
                continue
            if hasattr(type(result), "__await__"):
                yield _awaited(hook, result, partial(within, max(0.0, until - time.monotonic())))


def _is_among(hook: Hook, registered: list[Hook]) -> bool:
    """Whether it is registered. A module that is imported again, here or in a fresh interpreter, makes it anew."""
    return any(hook == known or (_source(hook) is not None and _source(hook) == _source(known)) for known in registered)


def _source(hook: Hook) -> object:
    """What it is that a module would make again; None for what has more in it than its source says."""
    if not isinstance(hook, FunctionType) or hook.__closure__ is not None:
        return None
    return hook.__module__, hook.__code__, hook.__defaults__, hook.__kwdefaults__


async def _awaited(hook: Hook, result: Any, within: Callable[[Any], Awaitable[bool]]) -> None:
    try:
        is_done = await within(result)
    except BaseException as error:
        _warn(hook, f"raised {_in_words(error)}")
    else:
        if not is_done:
            _warn(hook, f"was cancelled, for it had not ended when the {END_TIME:g} s for all of them were over")


def _found(hook: Hook, setting: str) -> Callable[[], object]:
    if not isinstance(hook, str):
        return hook
    try:
        found: Any = import_app(hook)
    except (AppNotFound, NotAnApp) as error:
        error.add_note(f"It is named in the setting {setting}.")
        raise
    return found  # type: ignore[no-any-return]


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _warn(hook: Hook, what: str) -> None:
    """Tell of what went wrong at the end, where nobody can be told by an exception, at the line of the function."""
    code = getattr(hook, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code is not None else (__file__, 1)
    name = hook if isinstance(hook, str) else getattr(hook, "__qualname__", repr(hook))
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # a filter may make it an error, which nobody here would catch
        warnings.warn_explicit(f"at_end({name}) in the app's process {what}", RuntimeWarning, file, line)


hooks: Final = Hooks()


def at_start(func: _Func) -> _Func:
    """Call a function in each process of an isolated app, before that is used there. It may be used as a decorator.

    A fork begins with all that the test's process had, and so with its connections, which two processes can't share:
    here the app's gets rid of them. An app that is given as an import string is imported when these functions have
    returned.

    Args:
        func: takes no arguments. What it returns is awaited on the app's event loop, if it can be. It is called once in
            each process, after those that were registered before it; a fresh interpreter gets it as ``client.call``
            would send it. What it raises is raised by the request, as that of an app that can't be loaded.

    Returns:
        The function.

    Raises:
        TypeError: it can't be called.

    Example:
        >>> @at_start
        ... def forget_connections():
        ...     engine.dispose(close=False)
    """
    return _registered(func, hooks.start)


def at_end(func: _Func) -> _Func:
    """Call a function in each process of an isolated app, when that ends in order. It may be used as a decorator.

    That is when its requests, WebSockets and its lifespan are over, its event loop still there, and its exit handlers
    yet to run. In a process that crashes, or is ended by force, it is not called.

    Args:
        func: as of :func:`at_start`, but the last that was registered comes first. What it raises is told as a warning.
            All of them have 2 seconds together: what is awaited then is cancelled, and what blocks is ended with the
            process.

    Returns:
        The function.

    Raises:
        TypeError: it can't be called.

    Example:
        >>> @at_end
        ... def send_the_last_events():
        ...     sentry_sdk.flush(timeout=1)
    """
    return _registered(func, hooks.end)


def _registered(func: _Func, where: list[Hook]) -> _Func:
    if not callable(func):
        raise TypeError(f"{func!r} is not a function: it can't be called")
    if not _is_among(func, where):
        where.append(func)
    return func


def check_hook(text: str) -> str:
    """See that a setting names a function.

    Raises:
        ValueError: it does not.
    """
    try:
        check_import_string(text)
    except NotAnApp:
        raise ValueError(f"{text!r} is not of the form package.module:function") from None
    return text
