"""What is done first when a limit has been hit, for all that tells of it may need what has run out.

Where the app's process has a limit of memory, that is raised, which needs none: what is called is written in C, and all
that it is given is there already. Then it is noted, for whatever follows may fail all the same.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from isoclient.server.limits import Limits, limit_hit, note_of
from isoclient.system.modules import os

__all__ = ["arm", "relieve"]

_limits: Limits | None = None
_raise: Callable[[], Any] = bool  # which does nothing, and needs nothing for that
_note: Callable[[], Any] = bool
_descriptor = -1


def arm(limits: Limits, descriptor: int, raise_memory: Callable[[], Any]) -> None:
    """There are limits. From now on, an exception that comes from one ends the process where nobody handles it.

    Args:
        limits: they.
        descriptor: where it is noted that one was hit.
        raise_memory: raises that of memory.
    """
    global _limits, _descriptor, _raise, _note
    _limits, _descriptor = limits, descriptor
    if limits.memory is not None:
        _raise, _note = raise_memory, partial(os.write, descriptor, note_of("memory"))
    threading.excepthook = _ending(threading.excepthook)
    sys.unraisablehook = _ending(sys.unraisablehook)


def _ending(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """Before this hook for exceptions that nobody has handled."""

    def end_or_call(args: Any) -> None:
        _end_here(args.exc_type, args.exc_value)
        hook(args)

    return end_or_call


def relieve() -> None:
    """Memory has run out."""
    _raise()
    _note()


def _end_here(kind: type[BaseException], error: BaseException | None) -> None:
    """An exception has been raised where nobody waits for an answer: if it comes from a limit, that ends the process.

    Args:
        kind: its class.
        error: the exception.
    """
    if kind is MemoryError and _raise is not bool:
        relieve()  # before anything else
        os._exit(1)
    limit = limit_hit(_limits, error)
    if limit is not None:
        os.write(_descriptor, note_of(limit))
        os._exit(1)
