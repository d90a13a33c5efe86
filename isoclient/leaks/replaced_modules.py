"""Entries of sys.modules that are others by now, or gone. New ones are no leak: they are imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from isoclient.leaks.found import Found, short
from isoclient.leaks.kind import Subject

__all__ = ["ReplacedModules"]


class ReplacedModules:
    """Nothing tells who has done it."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def before(self) -> dict[str, Any]:
        return sys.modules.copy()

    def after(self, before: dict[str, Any]) -> Iterator[Found]:
        now = sys.modules.copy()
        for name, module in before.items():
            there = now.get(name, module if name in now else _GONE)
            if there is not module and not self._subject.is_of_the_test(sys.modules, name):
                what = f"{name} removed" if there is _GONE else f"{name} replaced by {short(there)}"
                yield Found("sys.modules", what, None, name)


_GONE: Any = object()
