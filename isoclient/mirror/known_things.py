"""Objects of the test's that are equal to nothing but themselves: of the app's process, they come back as themselves.

A mock that the app has called with one is asserted on with that very one. A fork has them all, at the same addresses.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from operator import is_
from typing import Any

from isoclient.mirror.found_values import attributes_of

__all__ = ["KnownThings"]


class KnownThings:
    """Those of one test.

    Args:
        references: to them, from before the fork. Nothing is kept alive by that in the test's process.
    """

    def __init__(self, references: Sequence[weakref.ref[Any]]) -> None:
        self._references = references
        self._here: dict[int, tuple[int, Any, dict[str, Any]]] = {}

    def begin(self) -> None:
        """In the app's process: keep them, so that nothing else gets their addresses; and what they are."""
        for number, reference in enumerate(self._references):
            if (thing := reference()) is not None:
                self._here[id(thing)] = number, thing, dict(attributes_of(thing) or {})

    def number_of(self, thing: object) -> int | None:
        """By which the test knows this object; None if it does not, or if the app has made something else of it."""
        known = self._here.get(id(thing))
        if known is None:
            return None
        number, _, then = known
        return number if _is_same(attributes_of(thing) or {}, then) else None

    def has_address(self, address: int) -> bool:
        """In the app's process: whether one of them is there."""
        return address in self._here

    def has(self, thing: object) -> bool:
        """In the test's process: whether this is one of them."""
        return any(reference() is thing for reference in self._references)

    def get(self, number: int) -> Any:
        """In the test's process: its own; None if that is gone."""
        return self._references[number]() if number < len(self._references) else None


def _is_same(now: dict[str, Any], then: dict[str, Any]) -> bool:
    return len(now) == len(then) and all(map(is_, now, then)) and all(map(is_, now.values(), then.values()))
