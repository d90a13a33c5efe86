"""Raising the app's exceptions so that a traceback shows the test's line and the app's frames, and not all between.

Between them lie requests, this package and the border of a process, none of which the reader of a failed test asked
about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import NoReturn, ParamSpec, TypeVar

__all__ = ["reraise", "shows_app_errors"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def reraise(error: BaseException) -> NoReturn:
    """Raise an exception that is the app's, or that tells of it.

    Raises:
        BaseException: the error.
    """
    __tracebackhide__ = True  # pytest leaves this frame out
    raise error


def shows_app_errors(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a method that a test calls: what :func:`reraise` raised loses the frames between here and there."""

    @wraps(method)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        __tracebackhide__ = True
        try:
            return method(*args, **kwargs)
        except BaseException as error:
            marker = _frame_of_reraise(error.__traceback__)
            if marker is None:
                raise
            reraise(error.with_traceback(marker.tb_next))  # by this, for one such method may call another

    return wrapper


def _frame_of_reraise(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code is not reraise.__code__:
        traceback = traceback.tb_next
    return traceback
