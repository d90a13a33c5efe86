"""asyncio: what an event loop is made of."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from isoclient.compat.self_tests import self_test

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = [
    "MODULES",
    "ORDER",
    "default_executor",
    "descriptors",
    "forget_loop",
    "items_of_queue",
    "loop_of",
    "policy",
    "put_in",
    "take_out",
    "unfinished_in",
]

MODULES: Final = frozenset({"asyncio.*", "selectors", "_weakrefset"})
"""Those whose code a loop runs, as pdb is told what to skip."""

ORDER: Final = frozenset({"_get", "_init", "_put"})
"""What a queue of asyncio's, or of threads, has for its subclasses, which keep their items in another order by that."""

_PARTS: Final = ("_selector", "_ssock", "_csock")


@self_test("Closing the event loop's descriptors where a process that has imported an app is kept", project="Python")
def _knows_parts() -> None:
    from asyncio import BaseEventLoop, selector_events

    loop: Any = selector_events.BaseSelectorEventLoop
    used = {name for method in vars(loop).values() if type(method) is FunctionType for name in method.__code__.co_names}
    assert used.issuperset(_PARTS)
    assert "_default_executor" in BaseEventLoop.set_default_executor.__code__.co_names


def default_executor(loop: AbstractEventLoop) -> object:
    """That of a loop, if it has one by now; None of a loop that is not of Python's."""
    return getattr(loop, "_default_executor", None)


def descriptors(loop: AbstractEventLoop) -> list[int]:
    """Those that it needs for itself; of a loop that is not of Python's, none.

    That of uvloop, libuv, has some for all loops of a process, and makes them anew in a fork.
    """
    parts: list[Any] = [getattr(loop, name, None) for name in _PARTS] if _knows_parts() else []
    return [part.fileno() for part in parts if part is not None]


@self_test("Telling what is in a queue of asyncio's", project="Python")
def _knows_queues() -> None:
    from asyncio import Queue

    queue: Any = Queue()
    queue.put_nowait("tea")
    assert (list(queue._queue), queue._unfinished_tasks, queue._maxsize) == (["tea"], 1, 0)
    queue._queue.rotate(1)


def items_of_queue(queue: Any) -> list[Any]:
    """What is in a queue for tasks, or in one for threads; nothing, where that is not known."""
    if hasattr(queue, "queue"):
        return list(queue.queue)
    return list(queue._queue) if _knows_queues() else []


def unfinished_in(queue: Any) -> int:
    """How many items of such a queue are yet to be done; none, where that is not known."""
    if hasattr(queue, "unfinished_tasks"):
        return int(queue.unfinished_tasks)
    return int(queue._unfinished_tasks) if _knows_queues() else 0


def take_out(queue: Any, place: int) -> None:
    """Take an item out of a queue for tasks, wherever it stands. Who waits for room is woken."""
    from asyncio import Queue

    queue._queue.rotate(-place)
    Queue.get_nowait(queue)  # and not what a subclass does besides
    queue._queue.rotate(place)


def put_in(queue: Any, item: object) -> None:
    """Put an item into such a queue, though it may be full."""
    from asyncio import Queue

    size, queue._maxsize = queue._maxsize, 0
    try:
        Queue.put_nowait(queue, item)
    finally:
        queue._maxsize = size


@self_test("Waking a test that waits for an event of asyncio's, where another thread asks its app", project="Python")
def _knows_loops() -> None:
    from asyncio.mixins import _LoopBoundMixin

    mixin: Any = _LoopBoundMixin
    assert "_loop" in mixin._get_loop.__code__.co_names


def loop_of(event: Any) -> AbstractEventLoop | None:
    """That by which somebody waits for an event of asyncio's; None if nobody has, or it is not known."""
    return getattr(event, "_loop", None) if _knows_loops() else None


def forget_loop(event: Any) -> None:
    """Let an event or a queue be one that nobody has waited for yet."""
    getattr(event, "__dict__", {}).pop("_loop", None)


def policy() -> object:
    """The policy of event loops; None if none has been needed yet. Python 3.14 warns of asking for it."""
    import asyncio.events as module

    return getattr(module, "_event_loop_policy", None)
