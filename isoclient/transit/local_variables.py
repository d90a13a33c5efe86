"""The local variables of the app's frames, for those who look at a traceback in the test's process.

They do not cross themselves: what is in a frame is the app's live state. Plain values arrive as they are, everything
else as an object whose ``repr()`` is that of the original.
"""

from __future__ import annotations

import contextlib
from types import FrameType
from typing import Any, Final, TypeAlias

from isoclient.system.modules import time
from isoclient.transit.bounds import bounded
from isoclient.transit.text import shortened, text_of

__all__ = ["LocalText", "LocalsReader", "PackedLocal", "rebuild_locals"]

_MOST_NAMES: Final = 100  # of one frame
_LONGEST: Final = 2_000  # characters of one text
_MOST_CHARACTERS: Final = 1_000_000  # of all texts that cross with one exception
_MOST_ITEMS: Final = 50  # of a plain container
_DEEPEST: Final = 4
_SECONDS: Final = 1.0  # for all of them together: a __repr__ may do anything
_SCALARS: Final = frozenset({int, float, complex, bool, str, bytes, type(None)})
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})


PackedLocal: TypeAlias = tuple[str, bool, Any]
"""A name, whether the value is plain, and the value; or, where it is not, its text."""


class LocalText:
    """Stands for a local variable of the app: its ``repr()`` is what the original's was.

    Example:
        >>> LocalText("<Order 7>")
        <Order 7>
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class LocalsReader:
    """Reads the locals of frames, within bounds of time and size for all of them. Runs in the app's process."""

    def __init__(self) -> None:
        self._characters = _MOST_CHARACTERS
        self._end = time.monotonic() + _SECONDS

    def read(self, frame: FrameType) -> list[PackedLocal]:
        """Those of a frame. Never raises."""
        found: list[PackedLocal] = []
        with contextlib.suppress(BaseException), bounded(self._end):
            found += (self._pack(name, value) for name, value in list(frame.f_locals.items())[:_MOST_NAMES])
        return found

    def _pack(self, name: str, value: object) -> PackedLocal:
        if self._characters > 0 and _is_plain(value, _DEEPEST):
            self._characters -= 100
            return name, True, value
        if self._characters <= 0 or time.monotonic() > self._end:
            return name, False, f"<{type(value).__name__}: not read, for there was too much of it>"
        text = text_of(value, repr, _LONGEST)
        self._characters -= len(text)
        return name, False, text


def _is_plain(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind in _SCALARS:
        return kind not in (str, bytes) or len(value) <= _LONGEST
    if kind not in _CONTAINERS or len(value) > _MOST_ITEMS or depth == 0:
        return False
    items = [*value, *value.values()] if kind is dict else value
    return all(_is_plain(item, depth - 1) for item in items)


def rebuild_locals(packed: list[PackedLocal]) -> dict[str, Any]:
    """What a frame in the test's process has as its locals."""
    return {name: value if is_plain else LocalText(shortened(value, _LONGEST)) for name, is_plain, value in packed}
