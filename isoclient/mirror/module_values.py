"""Which containers are those of modules.

To look at a module is to write to its memory, where its references are counted; and what is written to after a fork has
to be copied, page by page. So nobody looks before there is a container to ask about, and then at what is new alone.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from types import ModuleType
from typing import Final

from isoclient.transit.libraries import is_of_a_library

__all__ = ["ModuleValues"]


class ModuleValues:
    """The values that modules have, but for those of some types.

    Args:
        left_out: those that nobody asks about, and of which there are many.

    Example:
        >>> values = ModuleValues([int, str])
        >>> values.look()
        >>> sys.modules in values, {} in values
        (True, False)
    """

    def __init__(self, left_out: Iterable[type]) -> None:
        self._left_out: Final = frozenset(left_out)
        self._last: tuple[str, Callable[[], object]] = "", _nothing  # the module that had come last
        self._sizes: dict[str, int] = {}  # of those that are no library's: more may come into them at any time
        self._homes: dict[int, str] = {}

    def look(self) -> None:
        """Know what modules have by now, as far as it can be seen by how much that is."""
        new = self._new()
        for name, module in new:
            self._enter(name, module)
        for name, module in new[:1]:
            self._last = name, weakref.ref(module) if type(module) is ModuleType else _nothing
        for name, size in list(self._sizes.items()):
            module = sys.modules.get(name)
            if type(module) is ModuleType and len(vars(module)) != size:
                self._enter(name, module)

    def _new(self) -> Sequence[tuple[str, object]]:
        """Modules, the last first; for what is imported, be it anew, comes last."""
        last, find = self._last
        try:
            modules = reversed(sys.modules.items())
            return list(takewhile(lambda item: item[0] != last or item[1] is not find(), modules))
        except RuntimeError:  # another thread imports something
            return list(sys.modules.copy().items())[::-1]

    def _enter(self, name: str, module: object) -> None:
        if type(module) is ModuleType:
            values = _values(module)
            self._homes.update((id(value), name) for value in values if type(value) not in self._left_out)
            if _is_own(module):
                self._sizes[name] = len(vars(module))

    def __contains__(self, value: object) -> bool:
        """Whether a module has this very value, as far as it was there when :meth:`look` was called."""
        home = self._homes.get(id(value))
        if home is None:
            return False
        if not _has(sys.modules.get(home), value):  # not any more, and the number may be that of another one by now
            home = next(_homes(value), None)
            if home is None:
                del self._homes[id(value)]
                return False
            self._homes[id(value)] = home
        return True


def _nothing() -> None:
    return None


def _homes(value: object) -> Iterator[str]:
    return (name for name, module in sys.modules.copy().items() if _has(module, value))


def _has(module: ModuleType | None, value: object) -> bool:
    return type(module) is ModuleType and any(own is value for own in _values(module))


def _values(module: ModuleType) -> list[object]:
    return list(vars(module).values())


def _is_own(module: ModuleType) -> bool:
    """Whether it is no library's, and none of Python's; one that a test has made by itself is no file's."""
    file = vars(module).get("__file__")
    return vars(module).get("__spec__") is None if type(file) is not str else not is_of_a_library(file)
