"""Exceptions that nobody has handled in the app, for the hooks of the test's process."""

from __future__ import annotations

import sys
import threading
import traceback
from types import SimpleNamespace
from typing import Any

from isoclient.transit.records import unpack_unhandled

__all__ = ["replay_thread_exception", "replay_unraisable"]


class _Described:
    """Stands for an object of the app."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def replay_thread_exception(data: bytes) -> None:
    """Tell of an exception that has ended a thread of the app."""
    error, name, _ = unpack_unhandled(data)
    thread = threading.Thread(name=name) if name is not None else None
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))


def replay_unraisable(data: bytes) -> None:
    """Tell of an exception that could not be raised in the app."""
    error, message, described = unpack_unhandled(data)
    hook: Any = sys.unraisablehook
    if hook is sys.__unraisablehook__:  # which takes nothing but what the interpreter makes
        print(f"{message or 'Exception ignored in'}: {described}", file=sys.stderr)
        traceback.print_exception(error)
        return
    hook(
        SimpleNamespace(
            exc_type=type(error),
            exc_value=error,
            exc_traceback=error.__traceback__,
            err_msg=message,
            object=_Described(described),
        )
    )
