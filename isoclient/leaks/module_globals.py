"""The globals of the app's own modules: which are others by now, and which containers have changed.

Looked at are what a module has, what its own classes and their instances have in turn, and the containers in all of
those. Modules of Python and of installed packages keep what they like.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple

from isoclient.leaks.definitions import line_of
from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.shapes import DULL, Items, difference, items_of
from isoclient.transit.libraries import is_own_module

__all__ = ["Globals"]

_DEEPEST: Final = 3  # containers within containers
_MOST: Final = 50_000  # of things looked at


class _Seen(NamedTuple):
    """Something with items.

    Attributes:
        module: the module that it was found in.
        name: its global.
        path: how it is reached, in Python's words.
        thing: it.
        items: what it had.
    """

    module: ModuleType
    name: str
    path: str
    thing: Any
    items: Items


class Globals:
    """What is there is kept, so that an object which is gone is not taken for another that has got its place."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def before(self) -> list[_Seen]:
        return _Walk().run()

    def after(self, before: list[_Seen]) -> Iterator[Found]:
        for seen in before:
            now = items_of(seen.thing)
            if now is None:
                continue
            for key, what in difference(seen.items, now, seen.path):
                name = seen.name or str(key)
                if not self._subject.is_of_the_test(seen.thing, None if now.is_container else key):
                    yield Found("global", what, line_of(seen.module, name, rebinds=not seen.name), (seen.path, key))


class _Walk:
    """One way through all that is looked at."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._left = _MOST
        self._found: list[_Seen] = []

    def run(self) -> list[_Seen]:
        own = [(name, module) for name, module in sys.modules.copy().items() if is_own_module(module)]
        self._own = {name for name, _ in own}
        for name, module in own:
            items = items_of(module)
            if items is not None:
                self._see(_Seen(module, "", name, module, items), _DEEPEST)
        return self._found

    def _see(self, seen: _Seen, deepest: int) -> None:
        self._known.add(id(seen.thing))
        self._left -= 1 + len(seen.items.values)
        self._found.append(seen)
        for key, value in seen.items.values.items() if deepest >= 0 else ():
            # Most of what there is, is none of that: so this comes first.
            if type(value) not in DULL and id(value) not in self._known and self._left > 0:
                items = items_of(value, self._own)
                if items is not None:
                    path = f"{seen.path}{seen.items.step(key)}"
                    self._see(_Seen(seen.module, seen.name or str(key), path, value, items), deepest - 1)
