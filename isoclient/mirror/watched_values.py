"""Values that both processes have, and what has changed in one of them since the two were alike.

A difference is of plain tuples around what has come in. It is put into the value of the other process as the same
operations would have done it there: so what stays is the very object that it was, though it could never cross.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from operator import is_
from types import CellType, MemberDescriptorType
from typing import Any, Final, Protocol, TypeAlias

__all__ = [
    *("CONTAINERS", "MAPPINGS", "PLAIN", "Change", "Watched", "WatchedValues"),
    *("contents", "plain_attributes", "slots_of", "watch"),
]

Change: TypeAlias = tuple[Any, ...]
"""What has changed. What has come in is in its last member, a list."""

_SEQUENCES: Final = (list, deque)
MAPPINGS: Final = frozenset((dict, defaultdict, OrderedDict, Counter))
"""These very types: to look for a class in a tuple would have its metaclass compare it."""

PLAIN: Final = frozenset((type(None), bool, int, float, complex, str, bytes))
"""Of these types there is nothing in a value that can change."""

CONTAINERS: Final = frozenset((*_SEQUENCES, *MAPPINGS, set))
"""Those in which a change is cheap to see, by their very types."""


class Watched(ABC):
    """A value of which there is one in each process.

    Args:
        value: that of this process.

    Attributes:
        known: what it held when both were alike.
        is_single: whether it holds one thing alone, as a variable does.
        is_of_items: whether each item may change by itself: see :meth:`one_by_one`.
    """

    __slots__ = ("known", "value")
    is_single = False
    is_of_items = False

    def __init__(self, value: Any) -> None:
        self.value = value
        self.known = self.copy()

    @abstractmethod
    def copy(self) -> Any:
        """What it holds now, of which nobody else has anything."""

    @abstractmethod
    def has_changed(self) -> bool:
        """Since both were alike."""

    def take(self) -> Change:
        """What has changed; from now on both are alike."""
        now = self.copy()
        change = self.difference(now)
        self.known = now
        return change

    @abstractmethod
    def difference(self, now: Any) -> Change:
        """What makes what is known out of what is there now."""

    def one_by_one(self, change: Change) -> list[Change]:
        """The same as several, each of one item at most."""
        return [change]  # of one thing alone, or of items that stand in an order

    @abstractmethod
    def put(self, change: Change) -> None:
        """Make the change of the other side. What has changed here meanwhile is still to be told, as far as it can."""


class Changing(Protocol):
    """Something that is kept alike as a whole, whatever it is made of."""

    def has_changed(self) -> bool:
        """See :meth:`Watched.has_changed`."""


class WatchedValues(dict[str, Watched]):
    """Several values by their names, and what else changes together with them.

    Attributes:
        wholes: that.
    """

    def __init__(self, watched: Mapping[str, Watched], wholes: Collection[Changing] = ()) -> None:
        super().__init__(watched)
        self.wholes = wholes

    def have_changed(self) -> bool:
        """Whether one of them has, or can't be looked at now: whoever takes its changes sees why."""
        try:
            for watched in (*self.values(), *self.wholes):
                if watched.has_changed():
                    return True
        except Exception:  # of code of the user's that compares keys, or another thread changes it meanwhile
            return True
        return False

    def tell_changes(self, tell: Callable[[], object]) -> None:
        """Call this if there are any."""
        if self.have_changed():
            tell()

    def end(self) -> None:
        """Nothing of them is to be told any more."""
        self.clear()
        self.wholes = ()


class _Sequence(Watched):
    """``(how many there were, for each item its place among these, or -1 for one that has come in, those)``."""

    __slots__ = ()

    def copy(self) -> tuple[Any, ...]:
        return tuple(self.value)

    def has_changed(self) -> bool:
        value, known = self.value, self.known
        return len(value) != len(known) or (bool(known) and not all(map(is_, value, known)))

    def difference(self, now: tuple[Any, ...]) -> Change:
        before: dict[int, int] = {}
        for place, item in enumerate(self.known):
            before.setdefault(id(item), place)
        places = [before.get(id(item), -1) for item in now]
        return len(self.known), places, [item for item, place in zip(now, places, strict=True) if place < 0]

    def put(self, change: Change) -> None:
        count, places, new = change
        known, coming = self.known, iter(new)
        if count != len(known):  # the other side had not heard of this one's last change: what has come in, comes in
            self.value.extend(new)
            self.known = tuple(self.value)
            return
        then = tuple([known[place] if place >= 0 else next(coming) for place in places])
        now = tuple(self.value)
        self.known = then
        if places[: len(known)] == list(range(len(known))):
            self.value.extend(then[len(known) :])  # behind what this side has appended meanwhile
            return
        mine = {id(item) for item in known}
        self.value.clear()
        self.value.extend((*then, *(item for item in now if id(item) not in mine)))


class _Mapping(Watched):
    """``(keys that are gone, all keys in order or None for one that follows, the new items)``."""

    __slots__ = ()
    is_of_items = True

    def copy(self) -> dict[Any, Any]:
        return dict(self.value)

    def has_changed(self) -> bool:
        value, known = self.value, self.known
        if len(value) != len(known):
            return True
        return bool(known) and not (all(map(is_, value, known)) and all(map(is_, value.values(), known.values())))

    def difference(self, now: dict[Any, Any]) -> Change:
        known = self.known
        there = [key for key in known if key in now]
        follows = list(dict.fromkeys([*there, *now])) == list(now)
        new = [(key, value) for key, value in now.items() if key not in known or known[key] is not value]
        return [key for key in known if key not in now], None if follows else list(now), new

    def one_by_one(self, change: Change) -> list[Change]:
        gone, order, items = change
        return [(gone, order, []), *(([], None, [item]) for item in items)]

    def put(self, change: Change) -> None:
        gone, order, items = change
        value, known = self.value, self.known
        for key in gone:
            value.pop(key, None)
            known.pop(key, None)
        for key, item in items:  # not by update(), by which a Counter adds
            value[key] = known[key] = item
        if order is not None:
            for mapping in (value, known):
                ordered = [(key, mapping.pop(key)) for key in order if key in mapping]
                left = list(mapping.items())
                mapping.clear()
                for key, item in (*ordered, *left):
                    mapping[key] = item


class _OwnMapping(Watched):
    """The same for a class that a library has made of dict: its items, whatever it does when they are asked for."""

    __slots__ = ()

    def copy(self) -> dict[Any, Any]:
        return dict(dict.items(self.value))

    def has_changed(self) -> bool:
        return self._plain().has_changed()

    def difference(self, now: dict[Any, Any]) -> Change:
        return self._plain().difference(now)

    def put(self, change: Change) -> None:
        plain = self._plain()
        plain.put(change)
        dict.clear(self.value)
        dict.update(self.value, plain.value)
        self.known = plain.known

    def _plain(self) -> _Mapping:
        plain = _Mapping(self.copy())
        plain.known = self.known
        return plain


class _Set(Watched):
    """``(what is gone, what has come in)``. Known by identity: to compare items may run code of the test's."""

    __slots__ = ()
    is_of_items = True

    def copy(self) -> dict[int, Any]:
        return {id(item): item for item in list(self.value)}

    def has_changed(self) -> bool:
        return len(self.value) != len(self.known) or not all(map(self.known.__contains__, map(id, self.value)))

    def difference(self, now: dict[int, Any]) -> Change:
        known = self.known
        return (
            [item for number, item in known.items() if number not in now],
            [item for number, item in now.items() if number not in known],
        )

    def one_by_one(self, change: Change) -> list[Change]:
        gone, items = change
        return [(gone, []), *(([], [item]) for item in items)]

    def put(self, change: Change) -> None:
        gone, new = change
        before = self.copy()
        self.value.difference_update(gone)
        self.value.update(new)
        now = self.copy()
        self.known = {number: item for number, item in now.items() if number in self.known or number not in before}


class _Slots(Watched):
    """``(names of those that are empty, names of those that hold something else, what that is)``."""

    __slots__ = ("_slots",)
    is_of_items = True

    def __init__(self, value: Any) -> None:
        self._slots = slots_of(type(value))
        super().__init__(value)

    def copy(self) -> dict[str, Any]:
        value, filled = self.value, {}
        for name, slot in self._slots.items():
            try:
                filled[name] = slot.__get__(value)
            except AttributeError:  # it is empty
                continue
        return filled

    def has_changed(self) -> bool:
        now, known = self.copy(), self.known
        return now.keys() != known.keys() or not all(map(is_, now.values(), known.values()))

    def difference(self, now: dict[str, Any]) -> Change:
        known = self.known
        new = [name for name, value in now.items() if name not in known or known[name] is not value]
        return [name for name in known if name not in now], new, [now[name] for name in new]

    def one_by_one(self, change: Change) -> list[Change]:
        gone, names, items = change
        return [(gone, [], []), *(([], [name], [item]) for name, item in zip(names, items, strict=True))]

    def put(self, change: Change) -> None:
        gone, names, items = change
        for name in gone:
            self._slots[name].__delete__(self.value)
        for name, item in zip(names, items, strict=True):
            self._slots[name].__set__(self.value, item)
        self.known = self.copy()


class _Class(_Slots):
    """The same for a class: what is plain in it, as what it counts by, and stands in it under a plain name.

    Its methods are not among it: where they are patched, that is carried over by itself.
    """

    __slots__ = ()

    def copy(self) -> dict[str, Any]:
        return plain_attributes(self.value)

    def difference(self, now: dict[str, Any]) -> Change:
        gone, names, items = super().difference(now)
        return [name for name in gone if name not in vars(self.value)], names, items

    def put(self, change: Change) -> None:
        gone, names, items = change
        for name in gone:
            if name in vars(self.value):
                type.__delattr__(self.value, name)
        for name, item in zip(names, items, strict=True):
            type.__setattr__(self.value, name, item)
        self.known = self.copy()


def plain_attributes(kind: type) -> dict[str, Any]:
    """Those of a class itself in which nothing can change."""
    return {name: value for name, value in list(vars(kind).items()) if type(value) in PLAIN and name[:2] != "__"}


def slots_of(kind: type) -> dict[str, Any]:
    """Those of a class that Python code has made, by the names of them. Those of C code can be read alone, mostly."""
    layers = reversed([vars(layer) for layer in type.__dict__["__mro__"].__get__(kind)])  # the last one hides others
    slots = [item for layer in layers if "__slots__" in layer for item in layer.items()]
    return {name: slot for name, slot in slots if type(slot) is MemberDescriptorType}


class _Cell(Watched):
    """``(what is in it, if anything)``: a variable that functions share."""

    __slots__ = ()
    is_single = True

    def copy(self) -> tuple[Any, ...]:
        return contents(self.value)

    def has_changed(self) -> bool:
        now = contents(self.value)
        return len(now) != len(self.known) or not all(map(is_, now, self.known))

    def difference(self, now: tuple[Any, ...]) -> Change:
        return (list(now),)

    def put(self, change: Change) -> None:
        (items,) = change
        if items:
            self.value.cell_contents = items[0]
        elif contents(self.value):
            del self.value.cell_contents
        self.known = contents(self.value)


def contents(cell: CellType) -> tuple[object, ...]:
    """What is in it, if anything."""
    try:
        return (cell.cell_contents,)
    except ValueError:  # it is empty
        return ()


def watch(value: object) -> Watched:
    """Watch a value of one of the kinds that are found."""
    kind = type(value)
    if kind in _KINDS:
        return _KINDS[kind](value)
    if issubclass(kind, type):
        return _Class(value)
    return _OwnMapping(value) if issubclass(kind, dict) else _Slots(value)


_KINDS: Final[dict[type, Callable[[Any], Watched]]] = {
    **dict.fromkeys(_SEQUENCES, _Sequence),
    **dict.fromkeys(MAPPINGS, _Mapping),
    set: _Set,
    CellType: _Cell,
}
