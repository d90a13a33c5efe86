"""The way to an object from a module or the app, by which the other process finds its own."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Set
from types import CodeType, FrameType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

from isoclient.transit.classes import class_name, look_up
from isoclient.transit.places import is_of_tests

__all__ = ["APP", "NoSuchPath", "Path", "find_paths", "is_named", "is_plain", "kind_of", "shallow_parts"]

Step: TypeAlias = tuple[str, Any]

APP: Final = ""
"""The root of what is reached from the app itself; all others are names of modules."""

_ATTRIBUTE, _ITEM, _CELL, _DEFAULT = "attribute", "item", "cell", "default"
_MOST: Final = 30_000  # objects that are looked at
_FEW: Final = 5_000  # the same where it is not that important
_DEEPEST: Final = 4  # steps from a module
_PLAIN: Final = (str, bytes, int, float, complex, bool, type(None))
_NOT_ENTERED: Final = (*_PLAIN, ModuleType, type, CodeType, FrameType)
_SKIPPED: Final = frozenset(_NOT_ENTERED)
_ATTRIBUTES: Final = {MethodType: ("__self__", "__func__"), functools.partial: ("func", "args", "keywords")}


class NoSuchPath(LookupError):
    """There is nothing at the end of a path in this process."""


class Path(NamedTuple):
    """Steps from a root: plain values, which cross as they are.

    Example:
        >>> print(Path("shop.main", (("attribute", "app"), ("attribute", "routes"), ("item", 3))))
        shop.main.app.routes[3]
        >>> Path("os", (("attribute", "environ"),)).find(None) is __import__("os").environ
        True
    """

    root: str
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return (self.root or "app") + "".join(map(_text_of_step, self.steps))

    def find(self, app: object) -> Any:
        """What this process has there; its module is not imported for that.

        Raises:
            NoSuchPath: there is nothing.
        """
        if self.root and self.root not in sys.modules:
            raise NoSuchPath(f"{self.root} has not been imported there")
        found: Any = sys.modules[self.root] if self.root else app
        for number, step in enumerate(self.steps):
            try:
                found = _take(found, step)
            except Exception:  # of an object that answers for itself, too
                raise NoSuchPath(f"there is no {Path(self.root, self.steps[: number + 1])} there") from None
        return found


def _text_of_step(step: Step) -> str:
    kind, name = step
    return {_ITEM: f"[{name!r}]", _CELL: f"'s {name!r}", _DEFAULT: f"'s default {name!r}"}.get(kind, f".{name}")


def _take(obj: Any, step: Step) -> Any:
    kind, name = step
    if kind == _ITEM:
        return obj[name]
    if kind == _CELL:
        return obj.__closure__[obj.__code__.co_freevars.index(name)].cell_contents
    if kind == _DEFAULT:
        return obj.__defaults__[name] if isinstance(name, int) else obj.__kwdefaults__[name]
    names = _names_of(obj)
    return names[name] if name in names else getattr(obj, name)


def kind_of(obj: object) -> str:
    """What is to be the same of an object that is found over there, as a text.

    Example:
        >>> kind_of({}), kind_of(kind_of), kind_of(Path)
        ('dict', 'function kind_of', 'type Path')
    """
    kind = type(obj)
    name = class_name(kind)[1]
    if isinstance(obj, ModuleType):
        return f"module {vars(obj).get('__name__')}"
    if isinstance(obj, FunctionType | type):
        return f"{name} {obj.__qualname__}"
    return name


def is_plain(obj: object) -> bool:
    """Whether it is a value, of which a copy is as good as itself."""
    return type(obj) in _PLAIN or (type(obj) in (tuple, frozenset) and all(map(is_plain, obj)))  # type: ignore[call-overload]


def find_paths(
    wanted: Set[int], app: object, *, without: Set[tuple[int, Any]] = frozenset(), deep: bool = True
) -> dict[int, Path]:
    """The ways to several objects, by their ids, as far as they are found; the shortest from a module, or the app.

    None of their code runs, nor that of what is on the way.

    Args:
        wanted: the ids; not those of plain values or classes.
        app: the app, or an import string.
        without: attributes and items that mean something else over there: the ids of their owners, and their names.
        deep: whether to look for long, and into the objects that modules have, too.
    """
    search = _Search(wanted, without, _MOST if deep else _FEW)
    search.begin(_modules(), deepest=1)
    search.begin(_app(app), deepest=_MOST)
    if deep:
        search.begin(_own_modules(), deepest=_DEEPEST)
    return search.found


def _modules() -> Iterator[tuple[str, object]]:
    """All modules, those of tests last: who imports an object is not who has it."""
    named = [(name, module) for name, module in sys.modules.copy().items() if type(module) is ModuleType]
    yield from sorted(named, key=lambda each: is_of_tests(each[0]))


def _own_modules() -> Iterator[tuple[str, object]]:
    """Those that are neither Python's nor installed: whose objects are worth to be looked into."""
    for name, module in _modules():
        file = vars(module).get("__file__")
        if isinstance(file, str) and not file.startswith((sys.prefix, sys.base_prefix)):
            yield name, module


def _app(app: object) -> Iterator[tuple[str, object]]:
    if app is not None and not isinstance(app, str):
        yield APP, app


_Node: TypeAlias = "tuple[_Node | None, Any, Any, int]"
"""What was come from, the step from there or the root, the object, and how many steps that are."""


class _Search:
    """One, breadth first."""

    def __init__(self, wanted: Set[int], without: Set[tuple[int, Any]], most: int) -> None:
        self.found: dict[int, Path] = {}
        self._missing = set(wanted)
        self._owners = {owner for owner, _ in without}
        self._without = without
        self._most = most

    def begin(self, roots: Iterable[tuple[str, object]], *, deepest: int) -> None:
        """Look there."""
        waiting: deque[_Node] = deque()
        for root, obj in roots if self._missing else ():
            node = None, root, obj, 0
            if id(obj) in self._missing:
                self._take(node)
            # At first without making any step: it is twice as fast, and most modules have nothing.
            if deepest > 1 or not self._missing.isdisjoint(map(id, list(_names_of(obj).values()))):
                waiting.append(node)
        seen: set[int] = set()
        while waiting and self._missing and len(seen) < self._most:
            self._look_into(waiting.popleft(), waiting, seen, deepest)

    def _look_into(self, node: _Node, waiting: deque[_Node], seen: set[int], deepest: int) -> None:
        obj, steps = node[2], node[3] + 1
        number = id(obj)
        has_others = number in self._owners
        for step, part in _parts(obj):
            if type(part) in _SKIPPED or id(part) in seen or isinstance(part, type):
                continue
            if has_others and (number, step[1]) in self._without:
                continue
            following = node, step, part, steps
            if id(part) in self._missing:
                self._take(following)
            if steps < deepest:
                seen.add(id(part))
                waiting.append(following)

    def _take(self, node: _Node) -> None:
        self._missing.discard(id(node[2]))
        steps, at = [], node
        while at[0] is not None:
            steps.append(at[1])
            at = at[0]
        self.found[id(node[2])] = Path(at[1], tuple(reversed(steps)))


def _parts(obj: Any) -> Iterator[tuple[Step, Any]]:
    kind = type(obj)
    with contextlib.suppress(RuntimeError):  # another thread changes it
        if isinstance(obj, dict):
            yield from (((_ITEM, key), value) for key, value in dict.items(obj) if is_plain(key))
        elif isinstance(obj, list | tuple):
            yield from (((_ITEM, index), value) for index, value in enumerate(kind.__iter__(obj)))
        elif kind is FunctionType:
            for name, cell in zip(obj.__code__.co_freevars, obj.__closure__ or (), strict=True):
                with contextlib.suppress(ValueError):  # an empty one
                    yield (_CELL, name), cell.cell_contents
            yield from (((_DEFAULT, index), value) for index, value in enumerate(obj.__defaults__ or ()))
            yield from (((_DEFAULT, name), value) for name, value in (obj.__kwdefaults__ or {}).items())
        for name in _ATTRIBUTES.get(kind, ()):
            yield (_ATTRIBUTE, name), getattr(obj, name)
        yield from (((_ATTRIBUTE, name), value) for name, value in list(_names_of(obj).items()))
        yield from _slots(obj)


def _slots(obj: object) -> Iterator[tuple[Step, Any]]:
    for layer in type.__dict__["__mro__"].__get__(type(obj)):
        slots = vars(layer).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            member = vars(layer).get(name)
            if isinstance(member, MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # an empty one
                    yield (_ATTRIBUTE, name), member.__get__(obj, type(obj))


def _names_of(obj: object) -> dict[str, Any]:
    """The attributes that it has of its own, asked past all that a class may have in the way."""
    for layer in type.__dict__["__mro__"].__get__(type(obj)):
        if isinstance(member := vars(layer).get("__dict__"), GetSetDescriptorType | MemberDescriptorType):
            names = member.__get__(obj, type(obj))
            return names if type(names) is dict else {}
    return {}


def shallow_parts(objects: Iterable[object], most: int = 200) -> dict[int, object]:
    """The objects, and what they are made of at first sight, by id: no plain values, classes, modules or mocks."""
    found: dict[int, object] = {}
    waiting = deque(objects)
    while waiting and len(found) < most:
        obj = waiting.popleft()
        if id(obj) not in found and not isinstance(obj, _NOT_ENTERED) and not _is_mock(obj):
            found[id(obj)] = obj
            if not is_named(obj):
                waiting.extend(part for _, part in _parts(obj))
    return found


def _is_mock(obj: object) -> bool:
    """Whether it is one of ``unittest.mock``, which records what is done with it, and crosses in its own way."""
    return any(class_name(layer)[0] in ("unittest.mock", "mock.mock") for layer in type(obj).__mro__)


def is_named(obj: object) -> bool:
    """Whether it is a function or class whose own name leads to it, so that it crosses by that."""
    return isinstance(obj, FunctionType | type) and look_up(obj.__module__, obj.__qualname__) is obj
