"""Which leaks are accepted, and how they are shown: with paths that mean the same on each machine."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from isoclient.leaks.found import KINDS_OF_LEAKS, Leak
from isoclient.system.modules import os
from isoclient.transit.libraries import without_place

__all__ = ["Rules", "parse_rule"]

_ANY: Final = "*"


class _Rule(NamedTuple):
    kind: str
    pattern: str

    def accepts(self, leak: Leak) -> bool:
        return self.kind in (_ANY, leak.kind) and any(
            fnmatchcase(text, self.pattern) for text in (leak.what, leak.where)
        )


def parse_rule(line: str) -> _Rule:
    """A line of the setting: ``kind: pattern``, of what or where.

    Raises:
        ValueError: it is none.

    Example:
        >>> parse_rule("thread: shop/mail.py:*").pattern
        'shop/mail.py:*'
    """
    kind, colon, pattern = (part.strip() for part in line.partition(":"))
    if not colon or not pattern:
        raise ValueError(f"{line!r} is not of the form kind: pattern, such as thread: shop/mail.py:*")
    if kind not in (_ANY, *KINDS_OF_LEAKS):
        raise ValueError(f"{line!r}: there is no kind {kind!r}; it is one of {', '.join(KINDS_OF_LEAKS)}, or *")
    return _Rule(kind, pattern)


class Rules:
    """Those of a run.

    Args:
        lines: of the setting.
        root: the directory that paths are shown from.

    Raises:
        ValueError: a line is none.
    """

    def __init__(self, lines: Iterable[str], root: str) -> None:
        self._rules = [parse_rule(line) for line in lines]
        self._root = os.path.join(root, "")

    def apply(self, leaks: Iterable[Leak]) -> list[Leak]:
        """Those that are not accepted, each once, as they are shown."""
        shown = dict.fromkeys(Leak(leak.kind, leak.what, self._near(leak.where)) for leak in leaks)
        return [leak for leak in shown if not any(rule.accepts(leak) for rule in self._rules)]

    def _near(self, where: str) -> str:
        return without_place(where).removeprefix(self._root)
