"""What comes into a value, as it is at one moment: an app's threads may go on changing it while it is told.

The containers in it are values of their own from then on, in both processes, which come upon them in the same order.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Set
from typing import Any, Final

from isoclient.mirror.found_values import LARGEST
from isoclient.mirror.watched_values import CONTAINERS, MAPPINGS, PLAIN, Watched, watch

__all__ = ["Frozen", "adoptable", "is_plain"]

_DEPTH: Final = 50
_CARRIED: Final = frozenset((list, tuple, dict, set))  # by marshal


class Frozen:
    """Copies of containers, and what watches these.

    Args:
        known: the ids of what the other side has: that is not copied.
        most: how many are to be watched at most.

    Attributes:
        watched: for each container in what was copied, in the order in which :func:`adoptable` has them.
    """

    def __init__(self, known: Set[int], most: int) -> None:
        self.watched: list[Watched] = []
        self._known = known
        self._most = most
        self._copies: dict[int, Any] = {}

    def freeze(self, value: Any, depth: int = _DEPTH) -> Any:
        """The same, of which nobody else has anything but what is no container."""
        kind = type(value)
        if kind is tuple and depth:
            return tuple([self.freeze(item, depth - 1) for item in value])
        if kind not in CONTAINERS or not depth or id(value) in self._known:
            return value
        if id(value) in self._copies:
            return self._copies[id(value)]
        watched = watch(value)
        content = watched.known
        if len(content) > LARGEST or len(self.watched) >= self._most:
            return value
        self.watched.append(watched)
        copy = self._copies[id(value)] = _empty(value)
        if kind in MAPPINGS:
            for key, item in content.items():
                copy[key] = self.freeze(item, depth - 1)
        elif kind is set:
            copy.update(content.values())
        else:
            copy.extend([self.freeze(item, depth - 1) for item in content])
        return copy


def _empty(value: Any) -> Any:
    kind = type(value)
    if kind is defaultdict:
        return defaultdict(value.default_factory)
    return deque(maxlen=value.maxlen) if kind is deque else kind()


def adoptable(values: Any, known: Set[int], most: int) -> Iterator[object]:
    """The containers in what has come in here, in the order in which the other side has copied them."""
    seen: set[int] = set()
    waiting = [(value, _DEPTH) for value in reversed(values)]
    count = 0
    while waiting and count < most:
        value, depth = waiting.pop()
        kind = type(value)
        if not depth or (kind is not tuple and (kind not in CONTAINERS or id(value) in known or id(value) in seen)):
            continue
        if kind is not tuple:
            if len(value) > LARGEST:
                continue
            seen.add(id(value))
            count += 1
            yield value
        parts = list(value.values()) if kind in MAPPINGS else [] if kind is set else list(value)
        waiting += [(part, depth - 1) for part in reversed(parts)]


def is_plain(value: Any, known: Set[int]) -> bool:
    """Whether it is its own bytes: of plain values, in containers that the other side has nothing of."""
    seen: set[int] = set()
    waiting = [(value, _DEPTH)]
    while waiting:
        value, depth = waiting.pop()
        kind = type(value)
        if kind in PLAIN or id(value) in seen:
            continue
        if not depth or id(value) in known or kind not in _CARRIED:
            return False
        seen.add(id(value))
        waiting += [(part, depth - 1) for part in ([*value.keys(), *value.values()] if kind is dict else value)]
    return True
