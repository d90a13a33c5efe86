"""Warnings: filtered in the app as the test has it, and shown in the test's process.

It happens below ``showwarning`` that they are taken, because that is what apps replace, as
``logging.captureWarnings(True)`` does; and ``warnings.catch_warnings(record=True)`` puts itself in our place, and takes
itself away again.
"""

from __future__ import annotations

import marshal
import re
import sys
import warnings
from typing import Any, Final, TypeAlias

from isoclient.compat.python_warnings import can_be_shown_by, filters_have_changed, show_by
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.mirror.run import run
from isoclient.transit.codecs import PipeCodec
from isoclient.transit.exceptions import unpack_exception

__all__ = ["Warns", "pack_warning", "unpack_warning"]

Pattern: TypeAlias = "tuple[str, int] | str | None"
"""A regular expression and its flags, or a text that must be equal, or None for any."""

Filter: TypeAlias = tuple[str, Pattern, tuple[str, str], Pattern, int]
"""An action, the pattern of the text, the category's module and name, the pattern of the module, and a line or 0."""

ANEW: Final = "anew"
"""The filters are the same, but are to be taken for new: what has been shown once may be shown again."""


class Warns(Mirrored):
    """The filters, all of them, of which the first that matches counts; and what has passed them."""

    # -- in the test's process

    def first(self, *, fresh: bool) -> list[Filter] | None:
        """The filters; a fork has them."""
        can_be_shown_by()  # asked here, where it is heard if they can't
        self._look()
        return _plain_filters() if fresh else None

    def notice(self) -> list[Filter] | str | None:
        """The filters, if they are others."""
        before, told, epoch = self._filters, self._told, self._epoch
        self._look()
        if self._told != told:
            return _plain_filters()
        # Whoever enters or leaves ``warnings.catch_warnings``, as pytest does for each test, sees warnings again.
        return ANEW if self._filters is not before or self._epoch != epoch else None

    def _look(self) -> None:
        self._epoch = run.epoch
        self._filters = warnings.filters
        self._told = list(warnings.filters)

    def replay(self, payload: bytes) -> None:
        """Show it, however warnings are shown now: ``pytest.warns`` and the warnings summary record it."""
        message, filename, line, source = unpack_warning(payload)
        warnings.showwarning(message, type(message), filename, line, None, source)

    # -- in the app's process

    def begin(self, first: list[Filter] | None, reporter: Reporter) -> None:
        """From now on, warnings that would be shown are told."""
        if first is not None:
            self.apply(first)

        def show(shown: warnings.WarningMessage) -> None:
            message = shown.message
            if not isinstance(message, Warning):
                message = shown.category(message)
            reporter.tell(pack_warning(message, shown.filename, shown.lineno, shown.line, reporter.codec))

        # A fork inherits what the test has put there, to record warnings with.
        if can_be_shown_by():
            show_by(show)

    def apply(self, difference: list[Filter] | str) -> None:
        """Have these filters."""
        if difference != ANEW:
            warnings.filters[:] = [_as_filter(*plain) for plain in difference]  # type: ignore[index]
        filters_have_changed()


# -- filters as plain values


def _plain_filters() -> list[Filter]:
    return [
        (action, _plain_pattern(message), (category.__module__, category.__qualname__), _plain_pattern(module), line)
        for action, message, categories, module, line in warnings.filters
        for category in (categories if isinstance(categories, tuple) else (categories,))
    ]


def _plain_pattern(pattern: re.Pattern[str] | str | None) -> Pattern:
    return (pattern.pattern, pattern.flags) if isinstance(pattern, re.Pattern) else pattern


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


# -- a warning as bytes


def pack_warning(message: Warning, filename: str, line: int, source: str | None, codec: PipeCodec) -> bytes:
    """A warning that is to be shown, as :func:`warnings.showwarning` takes it, as bytes. Never raises."""
    return marshal.dumps((codec.pack_exception(message, alone=True), filename, line, source))


def unpack_warning(data: bytes) -> tuple[Warning, str, int, str | None]:
    """What :func:`pack_warning` packed.

    Example:
        >>> unpack_warning(pack_warning(UserWarning("ripe"), "shop.py", 7, None, PipeCodec()))
        (UserWarning('ripe'), 'shop.py', 7, None)
    """
    packed, filename, line, source = marshal.loads(data)
    return unpack_exception(packed), filename, line, source  # type: ignore[return-value]
