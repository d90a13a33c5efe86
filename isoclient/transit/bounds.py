"""Bounds for code of the user's that something of ours has to run: of its time, and of what it may return or raise."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from isoclient.system.modules import time
from isoclient.transit.classes import class_name, qualified_name

__all__ = ["Allowance", "bounded", "shortened", "text_of"]


class Allowance:
    """The time that the user's own code may take in all, while one message is decoded.

    Args:
        seconds: how long; None for as long as it takes.

    Example:
        >>> Allowance(1.0).run(divmod, 7, 2)
        (3, 1)
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the function returns.

        Raises:
            TimeoutError: within the function, at one of its lines, when the time is up.
            BaseException: what the function raises.
        """
        # Where a debugger or a measurement is at work, it has the trace, and a prompt may be open for minutes.
        if self._seconds is None or sys.gettrace() is not None:
            return function(*args, **kwargs)
        if self._end is None:
            self._end = time.monotonic() + self._seconds
        with bounded(self._end):
            return function(*args, **kwargs)


@contextlib.contextmanager
def bounded(end: float) -> Iterator[None]:
    """Let no code in Python run on beyond this time, as far as it can be seen: between two of its lines."""
    before = sys.gettrace()
    sys.settrace(_clock(end))
    try:
        yield
    finally:
        sys.settrace(before)


def _clock(end: float) -> Callable[..., Any]:
    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if time.monotonic() > end:
            raise TimeoutError
        return trace

    return trace


def text_of(obj: object, how: Callable[[object], str], limit: int) -> str:
    """``how(obj)``, where ``how`` is :class:`str` or :func:`repr`, in at most ``limit`` characters. Never raises.

    Example:
        >>> text_of([1, 2, 3], repr, limit=100)
        '[1, 2, 3]'
    """
    try:
        # A subclass of str may come back, with methods of its own; str.__str__ makes it a plain one.
        return shortened(str.__str__(how(obj)), limit)
    except BaseException as error:  # a __repr__ may raise SystemExit, and must not end the app
        return f"<{qualified_name(type(obj))} object: {how.__name__}() raised {class_name(type(error))[1]}>"


def shortened(text: str, limit: int) -> str:
    """``text``, with what is beyond ``limit`` characters replaced by a count."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit:,} more characters)"
