"""What the objects of libraries are made of that a test has made, as far as that can be seen to change.

An exporter that keeps spans in memory, a store of a fake service: a test makes one, has its app use it, and looks at it
when it has its answer. Such an object is kept alike in both processes as a whole, or not at all: half of its state
would be worse than none. So all that it leads to has to be of a kind in which a change can be seen; a thread, a
connection or an event loop anywhere in it, and nothing of it is shared.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from functools import partial
from inspect import iscoroutinefunction
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary, WeakSet, WeakValueDictionary

from isoclient.mirror.found_values import LARGEST, attributes_of, of_modules, parts_of
from isoclient.mirror.watched_values import CONTAINERS, PLAIN, contents, slots_of, watch
from isoclient.transit.constructors import LOCKS

__all__ = ["FOREIGN", "Graph", "NotSeen", "changing_part", "find_graphs", "is_seen", "walk"]

MOST: Final = 300  # objects and containers of one graph, at the fork
_MOST_OF_TEST: Final = 50  # objects that are tried

FOREIGN: Final = frozenset(("isoclient", "requests", "urllib3", "httpx", "httpx2", "pytest", "_pytest"))
"""What of these packages a test keeps is its own, and some of it changes when it is looked at: a response reads its
body."""

# Sets, and no tuples: to look for a class in a tuple would have its metaclass compare it.
_UNCHANGING_CONTAINERS: Final = frozenset((tuple, frozenset))
_CALLS: Final = frozenset((FunctionType, MethodType, partial))
_VALUES: Final = (*PLAIN, Enum, type, ModuleType, BuiltinFunctionType)
_KEPT: Final = (
    *LOCKS,
    *(ReferenceType, WeakSet, WeakKeyDictionary, WeakValueDictionary),
)
"""Of each process, which has its own; nobody asserts of them."""
_UNCHANGING: Final = frozenset(("datetime", "decimal", "fractions", "ipaddress", "pathlib", "re", "uuid", "zoneinfo"))


class NotSeen(Exception):
    """Something in it can't be seen to change."""


class Graph(NamedTuple):
    """Objects and containers that lead to each other.

    Attributes:
        nodes: those that can change.
        leaves: what else they refer to that is to be the same in both processes: functions, locks, exceptions.
    """

    nodes: list[Any]
    leaves: list[Any]


def find_graphs(made: Sequence[object], known: Collection[int], apart: Collection[int]) -> list[Graph]:
    """Those of the objects of libraries that a test has made; what two of them have in common, is of one graph.

    Args:
        made: they.
        known: the ids of what is kept alike in another way.
        apart: the ids of what is not to be shared: the app, and what other tests have, too.
    """
    graphs = _walked(made[:_MOST_OF_TEST], known, apart)
    if not graphs:
        return graphs
    modules = of_modules()  # what they have stays apart, whoever refers to it
    theirs = {id(node) for graph in graphs for node in graph.nodes if node in modules}
    return _walked(made[:_MOST_OF_TEST], {*known, *theirs}, apart) if theirs else graphs


def _walked(values: Iterable[object], known: Collection[int], apart: Collection[int]) -> list[Graph]:
    graphs: list[Graph] = []
    for value in values:
        if any(value is node for graph in graphs for node in graph.nodes):
            continue
        try:
            graph = walk([value], known, apart=apart, most=MOST)
        except NotSeen:
            continue
        if graph.nodes:
            graphs = _joined(graphs, graph)
    return graphs


def _joined(graphs: Iterable[Graph], new: Graph) -> list[Graph]:
    ids = {id(node) for node in new.nodes}
    apart = []
    for graph in graphs:
        if ids.isdisjoint(map(id, graph.nodes)):
            apart.append(graph)
        else:
            new = Graph(_once(graph.nodes, new.nodes), _once(graph.leaves, new.leaves))
    return [*apart, new]


def _once(first: Iterable[object], second: Iterable[object]) -> list[Any]:
    return list({id(value): value for value in (*first, *second)}.values())


def walk(values: Iterable[object], known: Collection[int], *, most: int, apart: Collection[int] = ()) -> Graph:
    """What these lead to.

    Args:
        values: they.
        known: the ids of what the other process has: it is not gone into.
        most: how many may be found that can change.
        apart: the ids of what must not be among it.

    Raises:
        NotSeen: something of it can't be seen to change, or there is too much.
    """
    graph = Graph([], [])
    seen: dict[int, object] = {}
    waiting = list(values)[::-1]
    while waiting:
        value = waiting.pop()
        if type(value) in PLAIN or id(value) in seen:
            continue
        seen[id(value)] = value
        if id(value) in apart:
            raise NotSeen(value)
        if id(value) in known:
            graph.leaves.append(value)
            continue
        waiting += _led_to(value, graph)[::-1]
        if len(graph.nodes) > most:
            raise NotSeen(value)
    return graph


def is_seen(values: Sequence[object], known: Collection[int]) -> bool:
    """Whether all that these lead to can be seen, and locks are only where an object has one for itself."""
    try:
        graph = walk(values, known, most=MOST)
    except NotSeen:
        return False
    containers = [values, *(node for node in graph.nodes if type(node) in CONTAINERS)]
    has_locks = any(type(part) in LOCKS for container in containers for part in parts_of(container))
    return not (has_locks or any(isinstance(leaf, BaseException) for leaf in graph.leaves if id(leaf) not in known))


def changing_part(node: Any) -> Any:
    """What is watched for it: itself, or its attributes."""
    attributes = None if issubclass(type(node), (*CONTAINERS, dict)) else attributes_of(node)
    return node if attributes is None else attributes


def _led_to(value: Any, graph: Graph) -> Sequence[object]:
    kind = type(value)
    if kind in CONTAINERS:
        if len(value) > LARGEST:
            raise NotSeen(value)
        graph.nodes.append(value)
        return parts_of(value)
    if kind in _UNCHANGING_CONTAINERS:
        return list(value)
    if issubclass(kind, tuple) and not attributes_of(value):
        return list(tuple.__iter__(value))
    if issubclass(kind, _VALUES):
        return ()
    return _led_to_by_leaf(value, kind, graph) if _is_a_leaf(kind) else _led_to_by_object(value, kind, graph)


def _is_a_leaf(kind: type) -> bool:
    return kind in _CALLS or issubclass(kind, (*_KEPT, BaseException))


def _led_to_by_leaf(value: Any, kind: type, graph: Graph) -> Sequence[object]:
    graph.leaves.append(value)
    if kind is MethodType:
        return value.__self__, value.__func__
    if kind is partial:
        return value.func, value.args, *value.keywords.values()
    if kind is FunctionType:  # what it has of functions around it can't change, if nothing in that can
        enclosed = [part for cell in value.__closure__ or () for part in contents(cell)]
        if any(not issubclass(type(part), (*_VALUES, FunctionType)) for part in enclosed):
            raise NotSeen(value)
        return enclosed
    return ()


def _led_to_by_object(value: Any, kind: type, graph: Graph) -> Sequence[object]:
    package = _package(kind)
    if package in _UNCHANGING:
        return ()
    if package in sys.stdlib_module_names or not (_is_made_of_its_attributes(kind) or _is_made_of_items(value, kind)):
        raise NotSeen(value)
    if any(_package(layer) in FOREIGN for layer in _layers(kind)) or _is_app(kind):
        raise NotSeen(value)
    graph.nodes.append(value)
    if issubclass(kind, dict):
        return [*dict.keys(value), *dict.values(value)]
    attributes = attributes_of(value)
    return list(watch(value).known.values() if attributes is None else attributes.values())


def _is_made_of_its_attributes(kind: Any) -> bool:
    """Whether there is no more to its objects; and nothing that the end of a copy would give up."""
    slots = slots_of(kind)
    if (slots and kind.__dictoffset__) or kind.__basicsize__ > _Plain.__basicsize__ + len(slots) * _POINTER:
        return False  # it has what C code has put there
    return all("__del__" not in vars(layer) for layer in _layers(kind))


def _is_made_of_items(value: object, kind: type) -> bool:
    """Whether it is a dict of a class that has nothing beside."""
    is_dict = kind.__base__ is dict and len(_layers(kind)) == len(_LAYERS)
    return is_dict and not attributes_of(value) and not slots_of(kind)


_LAYERS: Final = 0, dict  # the class itself, and what it is made of


class _Plain:
    """As large as an object that has attributes, and no more."""


_POINTER: Final = tuple.__itemsize__


def _is_app(kind: type) -> bool:
    """Whether it may be an app, or a part of one: what that makes of itself is its own."""
    return any(iscoroutinefunction(vars(layer).get("__call__")) for layer in _layers(kind))


def _layers(kind: type) -> Sequence[Any]:
    return type.__dict__["__mro__"].__get__(kind)[:-1]  # type: ignore[no-any-return]


def _package(kind: type) -> str:
    module = type.__getattribute__(kind, "__module__")
    return module.partition(".")[0] if type(module) is str else ""
