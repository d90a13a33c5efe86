"""Events, cancel scopes and queues that a test has made: what it and its app wait by for each other.

A test that starts a request in a task of its own may wait until the app has come to a point, look, and let it go on::

    entered, release = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def view():
        entered.set()
        await release.wait()

So these are kept alike not only when something is sent, but also while a call is under way: both sides look every few
milliseconds. In the app's process they are made anew in the same objects: it has another event loop, and nobody of the
test's waits there.
"""

from __future__ import annotations

import contextlib
from operator import is_
from typing import Any, Final, NamedTuple

from isoclient.compat.python_asyncio import items_of_queue, loop_of, unfinished_in
from isoclient.mirror.watched_values import Change, Watched
from isoclient.transit.synchronizers import is_cancel_scope, is_latch

__all__ = ["PACE", "renew", "state_of_primitive", "watch_primitive"]

PACE: Final = 5
"""Milliseconds between two looks, where there is one."""


class _QueueState(NamedTuple):
    """What is in a queue, and how much of what has been in it is yet to be done."""

    items: tuple[Any, ...]
    unfinished: int


def _state_of_queue(queue: Any) -> _QueueState:
    return _QueueState(tuple(items_of_queue(queue)), unfinished_in(queue))


def _is_set(latch: Any, otherwise: bool = False) -> bool:
    """Whether it is, as far as that can be told here: one of Trio's may ask its loop for the time."""
    try:
        return bool(latch.cancel_called if is_cancel_scope(type(latch)) else latch.is_set())
    except RuntimeError:  # which runs in another thread
        return otherwise


def _set(latch: Any) -> None:
    if is_cancel_scope(type(latch)):
        latch.cancel()
    else:
        latch.set()


def state_of_primitive(primitive: Any) -> Any:
    """In the test's process: what :func:`renew` needs to know."""
    return _is_set(primitive) if is_latch(type(primitive)) else _state_of_queue(primitive)


def renew(primitive: Any, state: Any) -> None:
    """In the app's process: let it be as one that has just been made, in that state."""
    size = getattr(primitive, "maxsize", None)
    if hasattr(primitive, "__dict__"):  # as those of asyncio have, where the loop is that it was first awaited on
        vars(primitive).clear()
    if is_latch(type(primitive)):
        primitive.__init__()
        if state:
            _set(primitive)
    else:
        primitive.__init__(size)
        for item in state.items:
            primitive.put_nowait(item)


class _Latch(Watched):
    """``(whether it is set, nothing)``."""

    __slots__ = ()

    def copy(self) -> bool:
        return _is_set(self.value)

    def has_changed(self) -> bool:
        known: bool = self.known
        return _is_set(self.value, known) != known

    def difference(self, now: bool) -> Change:
        return now, []

    def put(self, change: Change) -> None:
        self.known, _ = change
        if self.known == _is_set(self.value, not self.known):
            return
        if self.known:
            _set(self.value)
        elif hasattr(self.value, "clear"):  # of asyncio and threads; the others stay set
            self.value.clear()
        _wake_loop_of(self.value)


class _Queue(Watched):
    """``(how many items were taken, how many tasks were done, the new items)``: one side puts, and the other takes."""

    __slots__ = ()

    def copy(self) -> _QueueState:
        return _state_of_queue(self.value)

    def has_changed(self) -> bool:
        now, known = self.copy(), self.known
        alike = now.unfinished == known.unfinished and len(now.items) == len(known.items)
        return not (alike and all(map(is_, now.items, known.items)))

    def difference(self, now: _QueueState) -> Change:
        known = self.known.items
        taken = 0
        while not all(map(is_, known[taken:], now.items)) or len(known) - taken > len(now.items):
            taken += 1
        new = list(now.items[len(known) - taken :])
        return taken, self.known.unfinished + len(new) - now.unfinished, new

    def put(self, change: Change) -> None:
        taken, done, new = change
        try:
            for item in self.known.items[:taken]:
                items = items_of_queue(self.value)
                if items and items[0] is item:  # else somebody here has taken it, too
                    self.value.get_nowait()
            for item in new:
                self.value.put_nowait(item)  # which raises if both sides have filled it
            with contextlib.suppress(ValueError):  # more often than there was something to do
                for _ in range(done):
                    self.value.task_done()
        finally:
            self.known = self.copy()
            _wake_loop_of(self.value)


def _wake_loop_of(primitive: Any) -> None:
    """It is put by who reads the pipe. A loop in another thread does not look by itself whether somebody may go on."""
    loop = loop_of(primitive)
    if loop is not None:
        with contextlib.suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(bool)


def watch_primitive(primitive: object) -> Watched:
    """Watch one of these."""
    return _Latch(primitive) if is_latch(type(primitive)) else _Queue(primitive)
