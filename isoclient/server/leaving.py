"""Which exceptions of an app are due to its client's leaving, and so are no errors of the app."""

from __future__ import annotations

import sys
from typing import Final

from isoclient.errors import ClientDisconnected
from isoclient.transit.anatomy import chain_of, is_a, members_of

__all__ = ["is_due_to_disconnect"]

_WORDS_FOR_IT: Final = (
    ("starlette.requests", "ClientDisconnect"),
    ("starlette.websockets", "WebSocketDisconnect"),
)
"""The classes that frameworks raise in the place of our error without naming it as the cause: module and name."""


def is_due_to_disconnect(error: BaseException | None) -> bool:
    """Whether it is what our own ``send`` raised, or what a framework makes of that: no error of the app then.

    Whoever raises something else in its place names it as the cause. Starlette does not; what follows from an exception
    in no other way than by the context is also what an app has that fails while it cleans up. So Starlette's classes
    are known here, and what an app calls its own does not matter.
    """
    pending, seen = [error], set[int]()
    found = False
    while pending:
        part = pending.pop()
        if part is None:
            return False
        if id(part) in seen:
            continue
        seen.add(id(part))
        if is_a(part, ClientDisconnected):
            found = True
        elif members := members_of(part):
            pending += members
        else:
            cause, context, _ = chain_of(part)
            pending.append(context if cause is None and _is_a_word_for_it(part) else cause)
    return found


def _is_a_word_for_it(error: BaseException) -> bool:
    return any(type(error) is getattr(sys.modules.get(module), name, None) for module, name in _WORDS_FOR_IT)
