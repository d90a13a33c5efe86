"""What things consist of, as far as a picture of them has it; and how two pictures of one thing differ."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

from isoclient.leaks.found import short

__all__ = ["DULL", "Items", "difference", "items_of"]

_LARGE: Final = 10_000  # items of a container of which the number alone is kept
_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))
_NOTHING: Final = object()
DULL: Final = frozenset({*_PLAIN, FunctionType, BuiltinFunctionType, ModuleType, property, classmethod, staticmethod})
"""The classes of what has nothing that is looked at."""


class Items(NamedTuple):
    """What a thing consists of.

    Attributes:
        is_container: whether these are items; else they are attributes.
        size: how many.
        values: what they are, by key; empty for a large container.
    """

    is_container: bool
    size: int
    values: Mapping[Any, Any]

    def step(self, key: object) -> str:
        """How one of them is reached, in Python's words."""
        return f"[{short(key)}]" if self.is_container else f".{key}"


_Reader: TypeAlias = tuple[Callable[[Any], int], Callable[[Any], Mapping[Any, Any]]]
_READERS: Final[dict[type, _Reader]] = {
    dict: (dict.__len__, dict.copy),
    list: (list.__len__, lambda thing: dict(enumerate(list.copy(thing)))),
    set: (set.__len__, lambda thing: dict.fromkeys(set.copy(thing))),
    deque: (deque.__len__, lambda thing: dict(enumerate(tuple(thing)))),
}
_CONTAINERS: Final = tuple(_READERS)


def _reader(kind: type) -> _Reader | None:
    """How the length and the items of a container of this class are read; None if it is none.

    Of subclasses no cache knows: a test may have made one, and is to see it collected.
    """
    if (found := _READERS.get(kind)) is not None or not issubclass(kind, _CONTAINERS):
        return found
    return next(how for base, how in _READERS.items() if issubclass(kind, base))


def items_of(thing: Any, own: Collection[str] | None = None) -> Items | None:
    """What a thing consists of; None if that is not looked at.

    Args:
        thing: a module, a container, or a class of somebody's own, or an instance of one.
        own: the names of the modules of which classes are looked at; None if it has been found that this one is.
    """
    kind: type = type(thing)
    if (how := _reader(kind)) is not None:
        count, read = how
        size = count(thing)
        try:
            return Items(True, size, read(thing) if size <= _LARGE else {})
        except RuntimeError:  # another thread changes it
            return Items(True, size, {})
    if kind in _PLAIN or not (own is None or _class_of(thing) in own):
        return None
    names = _names(thing)
    return None if names is None else Items(False, 0, names)


def _class_of(thing: Any) -> str:
    owner = thing if issubclass(type(thing), type) else type(thing)  # not what a proxy of a class says that it is
    return str(owner.__module__)


def _names(thing: Any) -> dict[str, Any] | None:
    try:
        names = dict(vars(thing))
    except Exception:  # it has none, or has its own way to answer
        return None
    return {name: value for name, value in names.items() if isinstance(name, str) and not name.startswith("__")}


def difference(then: Items, now: Items, path: str) -> Iterator[tuple[object, str]]:
    """How they differ: what has changed, or None for a container as a whole, and that in words."""
    if then.is_container and then.size != now.size:
        yield None, f"{path}: {now.size} item{'s' * (now.size != 1)} (was {then.size})"
        return
    changed = [
        (key, now.values.get(key, _NOTHING), then.values.get(key, _NOTHING))
        for key in {**then.values, **now.values}
        if _differ(now.values.get(key, _NOTHING), then.values.get(key, _NOTHING))
    ]
    for key, value, before in changed[:1] if then.is_container else changed:
        if not (before is _NOTHING and issubclass(type(value), ModuleType)):  # an import
            yield key, f"{path}{now.step(key)} {_words(value)} (was {_short(before)})"


def _differ(one: Any, other: Any) -> bool:
    if one is other:
        return False
    return not (type(one) is type(other) and type(one) in _PLAIN and one == other)


def _words(value: object) -> str:
    return "deleted" if value is _NOTHING else f"= {_short(value)}"


def _short(value: object) -> str:
    return "unset" if value is _NOTHING else short(value)
