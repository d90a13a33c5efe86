"""What the test has in force, put into force in the app's process: see :mod:`isoclient.mirror.differences`."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from typing import Any, Final

from isoclient.compat.python_warnings import filters_have_changed
from isoclient.mirror.differences import Context, Filter, Level, Pattern
from isoclient.transit.wishes import wishes

__all__ = ["InForce", "in_force"]

Key = tuple[str, str]


class InForce:
    """What is in force in this process."""

    def __init__(self) -> None:
        self._wanted: dict[Key, Level] = {}
        self._set: dict[Key, int | bool] = {}  # by us
        self._own: dict[Key, int | bool] = {}  # what we have set something else in place of

    def apply(self, context: Context) -> None:
        """Put what has changed into force."""
        wishes.locals = context.get("locals", wishes.locals)
        for level in context.get("levels", ()):
            self._apply_level(level)
        if "filters" in context:
            _apply_filters(context["filters"])

    def app_is_loaded(self) -> None:
        """The app has configured its logging: what the test wants comes on top of that.

        Within one process it would too, for there the app is imported long before a test sets a level.
        """
        for level in list(self._wanted.values()):
            self._apply_level(level)

    def _apply_level(self, level: Level) -> None:
        name, attribute, value, lower = level
        key = name, attribute
        target: Any = logging.getLogger(name) if name else logging.root.manager
        current = getattr(target, attribute)
        own = current if key not in self._set or current != self._set[key] else self._own[key]
        if value is None:
            self._wanted.pop(key, None)
            if key in self._set:
                del self._set[key], self._own[key]
                _assign(target, attribute, own)
            return
        self._wanted[key] = level
        self._own[key] = own
        if lower and key == ("root", "level"):
            # So does pytest: log_level=INFO does not silence an app that logs DEBUG.
            value = min(value, own)
        self._set[key] = value
        _assign(target, attribute, value)


in_force: Final = InForce()


def _assign(target: Any, attribute: str, value: int | bool) -> None:
    setattr(target, attribute, value)
    logging.root.setLevel(logging.root.level)  # so that what loggers remember is forgotten


def _apply_filters(filters: list[Filter] | None) -> None:
    if filters is not None:
        warnings.filters[:] = [_as_filter(*plain) for plain in filters]  # type: ignore[index]
    filters_have_changed()


def _as_filter(action: str, message: Pattern, category: tuple[str, str], module: Pattern, line: int) -> tuple[Any, ...]:
    return action, _as_pattern(message), _as_category(*category), _as_pattern(module), line


def _as_pattern(pattern: Pattern) -> re.Pattern[str] | str | None:
    return re.compile(*pattern) if isinstance(pattern, tuple) else pattern


def _as_category(module: str, qualname: str) -> type:
    """The category of that name, if it is there; nothing is imported for it, but it may be later."""
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, Warning) else _Named(module, qualname)


class _Named(type):
    """Stands for a category by its name: whatever class has that name, or has a base that has it, is a subclass."""

    def __new__(cls, module: str, qualname: str) -> _Named:
        return super().__new__(
            cls, qualname.rpartition(".")[2], (Warning,), {"__module__": module, "__qualname__": qualname}
        )

    def __init__(cls, module: str, qualname: str) -> None:
        super().__init__(qualname, (Warning,), {})

    def __subclasscheck__(cls, other: type) -> bool:
        return any((base.__module__, base.__qualname__) == (cls.__module__, cls.__qualname__) for base in other.__mro__)
