"""Which of the values that both processes have are alike with all that they lead to: each stands for the other then.

What refers to such a value crosses with a reference to it, and not with a copy: what becomes of it over there is known
here. Where something that it leads to is not kept alike, a copy has that as it is, at least.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import CellType, FunctionType
from typing import Any

from isoclient.mirror.found_values import attributes_of, parts_of
from isoclient.mirror.object_graphs import MOST, NotSeen, changing_part, walk
from isoclient.mirror.watched_values import CONTAINERS, contents, slots_of, watch
from isoclient.transit.shared_mocks import mocks
from isoclient.transit.synchronizers import primitive_of

__all__ = ["alike_as_a_whole", "ids_of"]


def ids_of(thing: object) -> set[int]:
    """Those of what may be watched for this: itself, or its attributes. Of a function, neither."""
    return {id(thing)} if type(thing) is FunctionType else {id(thing), id(changing_part(thing))}


def alike_as_a_whole(things: Mapping[str, object]) -> dict[str, object]:
    """Those that lead to nothing that can change but each other.

    Args:
        things: what is kept alike, each for itself, by name.
    """
    left = dict(things)
    while True:
        known = {id(thing) for thing in left.values()}
        others = [name for name, thing in left.items() if not _leads_to(thing, known)]
        if not others:
            return left
        for name in others:
            del left[name]


def _leads_to(thing: object, known: Collection[int]) -> bool:
    """Whether all that this leads to, and can change, is known."""
    parts = [part for part in _parts(thing) if not mocks.number_of(part)]  # which are kept alike in their own way
    try:
        return not walk(parts, known, most=MOST).nodes
    except NotSeen:
        return False


def _parts(thing: Any) -> Sequence[object]:
    kind = type(thing)
    if kind is CellType:
        return contents(thing)
    if primitive_of(kind) is not None:
        return ()
    if kind in CONTAINERS:
        return parts_of(thing)
    items = [*dict.keys(thing), *dict.values(thing)] if issubclass(kind, dict) else []
    slots = watch(thing).known.values() if slots_of(kind) and not issubclass(kind, dict) else ()
    return [*items, *(attributes_of(thing) or {}).values(), *slots]
