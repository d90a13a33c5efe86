"""The context variables that an app has of the test."""

from __future__ import annotations

import sys
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

__all__ = ["context_of_test"]

_LOOP: Final = (("sniffio", "current_async_library_cvar"),)
_THREADS: Final = (
    ("asgiref.sync", "SyncToAsync.thread_sensitive_context"),
    ("asgiref.sync", "SyncToAsync.deadlock_context"),
    ("asgiref.sync", "AsyncToSync.async_single_thread_context"),
)


def context_of_test(*, forked: bool = False) -> Context:
    """A copy of the context that this is called in, for the app to run in.

    Left out is what tells which event loop the test runs in, for the app has another; and in a fork, what tells which
    of the test's threads is to be used, or is in use, for they are not there.

    Example:
        >>> tenant = ContextVar("tenant")
        >>> token = tenant.set("shop")
        >>> context_of_test().run(tenant.get)
        'shop'
    """
    context = copy_context()
    known = [_find(place) for place in (_LOOP + _THREADS if forked else _LOOP) if place[0] in sys.modules]
    foreign = [var for var in known if var is not None and var in context]
    return _without(context, foreign) if foreign else context


def _find(place: tuple[str, str]) -> ContextVar[Any] | None:
    module, path = place
    found: object = sys.modules[module]
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, ContextVar) else None


def _without(context: Context, foreign: list[ContextVar[Any]]) -> Context:
    left = Context()  # a variable can't be taken out of one
    for var, value in context.items():
        if var not in foreign:
            left.run(var.set, value)
    return left
