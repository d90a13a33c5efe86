"""What follows when a client leaves while the app is still at work for it."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from isoclient.errors import ClientDisconnected
from isoclient.server.calls import Call
from isoclient.server.runtime import Runtime
from isoclient.transit.anatomy import chain_of, is_a, members_of

__all__ = ["Grace", "is_due_to_disconnect"]

_LOOKS: Final = 5
_BETWEEN_LOOKS: Final = 0.005  # seconds

_WORDS_FOR_IT: Final = (
    ("starlette.requests", "ClientDisconnect"),
    ("starlette.websockets", "WebSocketDisconnect"),
)
"""The classes that frameworks raise in the place of our error without naming it as the cause: module and name."""


class Grace(NamedTuple):
    """How long the app's call may go on, when its client has left, before it is cancelled.

    An app that works on what the client has sent, or knows that it has left and cleans up, has the whole time. One that
    has answered all and waits for something of its own, such as the next item of a queue, would only wait it out, for
    nothing tells it to end. So it has a moment, in which it may come back to its ``receive``. The moment is counted in
    looks, with the event loop going round in between: it does not pass while the process gets no processor.

    Args:
        call: what the client has left.
        runtime: the event loop.
    """

    call: Call
    runtime: Runtime

    def begin(self, seconds: float) -> None:
        """Count from now on.

        Args:
            seconds: the whole time.
        """
        self.runtime.call_later(seconds, self.call.abort_if_open)
        self._look_again(_LOOKS)

    def _look_again(self, left: int) -> None:
        if left == 0:
            self.call.abort_if_open()
        elif not self.call.informed:
            self.runtime.call_later(_BETWEEN_LOOKS, lambda: self._look(left))

    def _look(self, left: int) -> None:
        if self.call.is_open:
            self._look_again(left - 1 if self.call.waits_for_its_own else _LOOKS)


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
