"""Events, queues, conditions and semaphores of Python's, asyncio's and their like: what threads and tasks wait by.

Each process has its own, though a copy has one for each of the test's. Events, scopes that can be
cancelled and queues in order are kept alike: see :mod:`isoclient.mirror.shared_primitives`.
"""

from __future__ import annotations

from typing import Any, Final

from isoclient.compat.python_asyncio import ORDER, items_of_queue
from isoclient.transit.classes import class_name

__all__ = ["is_cancel_scope", "is_condition", "is_latch", "is_synchronizer", "primitive_of", "state_of"]

_PACKAGES: Final = frozenset({"anyio", "asyncio", "queue", "threading", "trio"})
_EVENTS: Final = frozenset({"Event", "EventAdapter"})
_SCOPES: Final = frozenset({"CancelScope"})
_QUEUES: Final = frozenset({"LifoQueue", "PriorityQueue", "Queue"})
_IN_ORDER: Final = frozenset({"Queue"})
_MRO: Final = vars(type)["__mro__"]
_SEMAPHORES: Final = frozenset({"CapacityLimiter", "Semaphore", "SemaphoreAdapter"})
_CONDITIONS: Final = frozenset({"Condition", "ConditionAdapter"})


def is_synchronizer(cls: type) -> bool:
    """Whether objects of a class are one of them, and of no class of somebody's own."""
    return bool(_name(cls, _EVENTS | _QUEUES | _SEMAPHORES | _CONDITIONS))


def primitive_of(cls: type) -> type | None:
    """Of which of those by which a test and its app may wait for each other objects of a class are, or inherit from.

    None where they are of none, or where a subclass has its own order of items.

    Example:
        >>> import queue, threading
        >>> primitive_of(type("Turn", (threading.Event,), {})), primitive_of(queue.LifoQueue)
        (<class 'threading.Event'>, None)
    """
    for layer in _MRO.__get__(cls):
        if _name(layer, _EVENTS | _SCOPES | _IN_ORDER):
            return layer  # type: ignore[no-any-return]
        if not ORDER.isdisjoint(vars(layer)):
            return None
    return None


def is_latch(cls: type) -> bool:
    """Whether one of them is an event, or a scope that can be cancelled: what is set, for others to see."""
    return bool(_name(cls, _EVENTS | _SCOPES))


def is_cancel_scope(cls: type) -> bool:
    """Whether it is such a scope."""
    return bool(_name(cls, _SCOPES))


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
