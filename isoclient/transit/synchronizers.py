"""Events, queues, conditions and semaphores of Python's, asyncio's and their like: what threads and tasks wait by.

Each process has its own, though a copy has one for each of the test's.
"""

from __future__ import annotations

from typing import Any, Final

from isoclient.compat.python_asyncio import items_of_queue
from isoclient.transit.classes import class_name

__all__ = ["is_condition", "is_synchronizer", "state_of"]

_PACKAGES: Final = frozenset({"anyio", "asyncio", "queue", "threading", "trio"})
_EVENTS: Final = frozenset({"Event", "EventAdapter"})
_QUEUES: Final = frozenset({"LifoQueue", "PriorityQueue", "Queue"})
_SEMAPHORES: Final = frozenset({"CapacityLimiter", "Semaphore", "SemaphoreAdapter"})
_CONDITIONS: Final = frozenset({"Condition", "ConditionAdapter"})


def is_synchronizer(cls: type) -> bool:
    """Whether objects of a class are one of them, and of no class of somebody's own."""
    return bool(_name(cls, _EVENTS | _QUEUES | _SEMAPHORES | _CONDITIONS))


def is_condition(value: object) -> bool:
    """Whether it is one that notifies, and has nothing to show for it."""
    return bool(_name(type(value), _CONDITIONS))


def state_of(value: Any) -> str | list[Any]:
    """What can be seen of it: whether it is set, or who waits, in words; or what is in it.

    Example:
        >>> import queue, threading
        >>> state_of(threading.Event()), state_of(queue.Queue())
        ('not set', [])
    """
    cls = type(value)
    if _name(cls, _EVENTS):
        return "set" if cls.is_set(value) else "not set"
    if _name(cls, _QUEUES):
        return items_of_queue(value)
    statistics = getattr(value, "statistics", None)  # as those of anyio and trio have
    return str(statistics()) if statistics is not None and _name(cls, _SEMAPHORES) else ""


def _name(cls: type, names: frozenset[str]) -> str:
    module, name = class_name(cls)
    return name if name in names and module.partition(".")[0] in _PACKAGES else ""
