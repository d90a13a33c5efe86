"""Objects of libraries that a test has made, kept alike in both processes: each with all that it is made of.

What has changed in one of the graphs crosses in one piece, with the objects that have come into it; these belong to it
from then on. Where that can't cross, the graph is over on both sides: what it was then, it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from isoclient.mirror.found_values import has_stand_ins
from isoclient.mirror.object_graphs import Graph, changing_part, walk
from isoclient.mirror.watched_values import Change, Watched, WatchedValues, watch
from isoclient.transit.codecs import PipeCodec

__all__ = ["SharedGraph"]

_MOST: Final = 5_000  # objects and containers, with those that have come in
_ATTEMPTS: Final = 3
_SECONDS: Final = 1.0  # for code of the user's that makes its objects


class SharedGraph:
    """One of them, as one of the two processes has it.

    Args:
        name: that of the graph, on both sides.
        graph: it.
        names: what is known by name on both sides, which it adds to.
        ids: theirs.
        side: what the names of what comes into it here begin with.
        other: the same for the other side.

    Attributes:
        kind: the name of the class of what it was found by.
        has_heard: whether the other side has changed it.
    """

    def __init__(self, name: str, graph: Graph, names: dict[str, object], ids: set[int], side: str, other: str) -> None:
        self.name = name
        self.kind = type(graph.nodes[0]).__qualname__
        self.has_heard = False
        self._names, self._ids = names, ids
        self._watched = WatchedValues({})
        self._side, self._other = side, other
        self._count = {side: 0, other: 0, "": 0, "leaf": 0}
        self._adopt("", graph.nodes, [watch(changing_part(node)) for node in graph.nodes])
        for leaf in graph.leaves:
            if id(leaf) not in ids:
                self._know("leaf", leaf)

    def has_changed(self) -> bool:
        """Whether something here is other than it is known over there."""
        return self._watched.have_changed()

    @property
    def is_over(self) -> bool:
        """Whether what it is on the other side is no business of this one's any more."""
        return not self._watched

    def watched(self) -> Collection[Watched]:
        """What of it can change, as long as that is told."""
        return self._watched.values()

    def end(self) -> None:
        """It is over."""
        self._watched.clear()

    # -- telling

    def changes(self, codec: PipeCodec) -> tuple[bytes | None, list[Any]]:
        """What has changed here, packed, and the exceptions in it; None if that can't cross, and all is over."""
        changes = [(name, watched.take()) for name, watched in list(self._watched.items()) if watched.has_changed()]
        try:
            for _ in range(_ATTEMPTS):
                new, exceptions = self._new(changes)
                watched = [watch(changing_part(node)) for node in new]
                names = self._names | _named(exceptions)
                packed = codec.pack_result((changes, new), names, with_locks=True)
                if not any(each.has_changed() for each in watched):  # by another thread, while it was packed
                    self._adopt(self._side, new, watched)
                    return packed, [codec.pack_exception(error) for error in exceptions]
        except Exception:  # of code of the user's that is asked for the parts of what is sent, too
            pass
        self.end()
        return None, []

    def _new(self, changes: list[tuple[str, Change]]) -> tuple[list[Any], list[BaseException]]:
        """What has come in, as far as it can change; and the exceptions, which cross as when they are raised."""
        items = [change[-1] for _, change in changes]
        seen = {id(part) for part in items}
        found = walk(items, self._ids, most=_MOST - len(self._watched))
        new = [node for node in found.nodes if id(node) not in seen]
        leaves = [leaf for leaf in found.leaves if isinstance(leaf, BaseException) and id(leaf) not in self._ids]
        return new, leaves

    def _adopt(self, side: str, nodes: Collection[Any], watched: Collection[Watched]) -> None:
        for node, each in zip(nodes, watched, strict=True):
            self._watched[self._know(side, node)] = each

    def _know(self, side: str, value: object) -> str:
        name = f"{self.name}{side}{self._count[side]}"
        self._count[side] += 1
        self._names[name] = value
        self._ids |= {id(value), id(changing_part(value))}
        return name

    # -- hearing

    def put(self, packed: bytes | None, exceptions: list[Any], codec: PipeCodec) -> None:
        """Make the changes of the other side, if it can go on."""
        if packed is None or not self._watched:
            self.end()
            return
        try:
            errors = [codec.unpack_exception(error) for error in exceptions]
            changes, new = codec.unpack_result(packed, self._names | _named(errors), _SECONDS)
            watched = [watch(changing_part(node)) for node in new]
        except Exception:
            errors, new = [], None
        if new is None or has_stand_ins(errors):
            self.end()
            return
        self.has_heard = True
        for name, change in changes:
            self._watched[name].put(change)
        self._adopt(self._other, new, watched)


def _named(errors: Sequence[BaseException]) -> dict[str, object]:
    return {f"e{number}": error for number, error in enumerate(errors)}
