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
from collections.abc import Iterator
from operator import is_
from typing import Any, Final, NamedTuple

from isoclient.compat.python_asyncio import forget_loop, items_of_queue, loop_of, put_in, take_out, unfinished_in
from isoclient.mirror.watched_values import Change, Watched
from isoclient.transit.synchronizers import is_cancel_scope, is_latch, primitive_of

__all__ = ["PACE", "renew", "state_of_primitive", "watch_primitive"]

PACE: Final = 5
"""Milliseconds between two looks, where there is one."""
_FOR_LOCK: Final = 1.0  # seconds
_HERE, _BEFORE, _THERE = 1, 0, -1  # where an item of a queue was put: before the fork, or since then


class _QueueState(NamedTuple):
    """What is in a queue, and how much of what has been in it is yet to be done."""

    items: tuple[Any, ...]
    unfinished: int


def _state_of_queue(queue: Any) -> _QueueState:
    return _QueueState(tuple(items_of_queue(queue)), unfinished_in(queue))


def _kind_of(primitive: object) -> Any:
    """The class of it, below those of the user's: what that does when it is set was done on the other side."""
    return primitive_of(type(primitive))


def _is_set(latch: Any, otherwise: bool = False) -> bool:
    """Whether it is, as far as that can be told here: one of Trio's may ask its loop for the time."""
    kind = _kind_of(latch)
    try:
        return bool(latch.cancel_called if is_cancel_scope(kind) else kind.is_set(latch))
    except RuntimeError:  # which runs in another thread
        return otherwise


def _set(latch: Any) -> None:
    kind = _kind_of(latch)
    if is_cancel_scope(kind):
        kind.cancel(latch)
    else:
        kind.set(latch)


def state_of_primitive(primitive: Any) -> Any:
    """In the test's process: what :func:`renew` needs to know."""
    return _is_set(primitive) if is_latch(_kind_of(primitive)) else _state_of_queue(primitive)


def renew(primitive: Any, state: Any) -> None:
    """In the app's process: let it be as one that has just been made, in that state."""
    kind = _kind_of(primitive)
    size = getattr(primitive, "maxsize", None)
    if kind is type(primitive) and hasattr(primitive, "__dict__"):
        vars(primitive).clear()
    forget_loop(primitive)  # on which it was first awaited
    if is_latch(kind):
        kind.__init__(primitive)
        if state:
            _set(primitive)
    else:
        kind.__init__(primitive, size)
        for item in state.items:
            kind.put_nowait(primitive, item)


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
        elif hasattr(kind := _kind_of(self.value), "clear"):  # of asyncio and threads; the others stay set
            kind.clear(self.value)
        _wake_loop_of(self.value)


class _Queue(Watched):
    """``(keys of the items that were taken, how many tasks were done, the first key of the new items, these)``.

    One side may put while the other one takes, before either has heard of it. So each item has a key, which is known on
    both sides: on which of them it was put, and as which one; and what is not yet told is not taken for told when
    something is heard.
    """

    __slots__ = ("_count", "_keys")

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self._keys = [(_BEFORE, number) for number in range(len(self.known.items))]
        self._count = 0

    def copy(self) -> _QueueState:
        return _state_of_queue(self.value)

    def has_changed(self) -> bool:
        now, known = self.copy(), self.known
        alike = now.unfinished == known.unfinished and len(now.items) == len(known.items)
        return not (alike and all(map(is_, now.items, known.items)))

    def take(self) -> Change:
        with _held(self.value):
            now = self.copy()
        change = self.difference(now)
        first, new = change[-2:]
        coming = iter([(_HERE, first + number) for number in range(len(new))])
        places = _places(now.items, self.known.items)
        self._keys = [self._keys[place] if place >= 0 else next(coming) for place in places]
        self._count += len(new)
        self.known = now
        return change

    def difference(self, now: _QueueState) -> Change:
        places = _places(now.items, self.known.items)
        left = set(places)
        taken = [key for place, key in enumerate(self._keys) if place not in left]
        new = [item for item, place in zip(now.items, places, strict=True) if place < 0]
        return taken, self.known.unfinished + len(new) - now.unfinished, self._count, new

    def put(self, change: Change) -> None:
        taken, done, first, new = change
        gone = {(-side, number) for side, number in taken}
        known = self.known
        with _held(self.value):
            places = _places(tuple(items_of_queue(self.value)), known.items)
            for at in reversed(range(len(places))):
                if places[at] >= 0 and self._keys[places[at]] in gone:  # else somebody here has taken it, too
                    _take_out(self.value, at)
            for item in new:
                _put_in(self.value, item)
        left = [(key, item) for key, item in zip(self._keys, known.items, strict=True) if key not in gone]
        left += [((_THERE, first + number), item) for number, item in enumerate(new)]
        self._keys = [key for key, _ in left]
        self.known = _QueueState(tuple([item for _, item in left]), known.unfinished + len(new) - done)
        with contextlib.suppress(ValueError):  # more often than there was something to do
            for _ in range(done):
                _kind_of(self.value).task_done(self.value)
        _wake_loop_of(self.value)


def _places(now: tuple[Any, ...], known: tuple[Any, ...]) -> list[int]:
    """For each item that is there now, its place among those that are known; -1 for one that has come in.

    Items are taken from the front alone, so what is known of from the end on is there still.
    """
    places, next_place = [], len(known) - 1
    for item in reversed(now):
        is_known = next_place >= 0 and item is known[next_place]
        places.append(next_place if is_known else -1)
        next_place -= is_known
    return places[::-1]


@contextlib.contextmanager
def _held(queue: Any) -> Iterator[None]:
    """So that no thread puts or takes meanwhile: those of a queue for tasks are of one thread.

    Who has the lock may be interrupted by a signal handler that asks the app, or keep it for long: that is not waited
    for without end, for a single step on the items is safe without it, too.
    """
    mutex: Any = getattr(queue, "mutex", None)
    is_held = mutex is not None and mutex.acquire(timeout=_FOR_LOCK)
    try:
        yield
    finally:
        if is_held:
            mutex.release()


def _take_out(queue: Any, place: int) -> None:
    """Take an item out, wherever it stands; the queue is held."""
    if hasattr(queue, "mutex"):
        del queue.queue[place]
        queue.not_full.notify()
    else:
        take_out(queue, place)


def _put_in(queue: Any, item: object) -> None:
    """Put an item in, though both sides may have filled it; the queue is held."""
    if hasattr(queue, "mutex"):
        queue.queue.append(item)
        queue.unfinished_tasks += 1
        queue.not_empty.notify()
    else:
        put_in(queue, item)


def _wake_loop_of(primitive: Any) -> None:
    """It is put by who reads the pipe. A loop in another thread does not look by itself whether somebody may go on."""
    loop = loop_of(primitive)
    if loop is not None:
        with contextlib.suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(bool)


def watch_primitive(primitive: object) -> Watched:
    """Watch one of these."""
    return _Latch(primitive) if is_latch(_kind_of(primitive)) else _Queue(primitive)
