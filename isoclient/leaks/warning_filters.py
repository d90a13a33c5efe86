"""Filters of warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT

__all__ = ["WarningFilters"]


class WarningFilters:
    """Those that ``warnings.filterwarnings`` and ``simplefilter`` have added; the test's come by another way."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> list[Any]:
        return list(warnings.filters)

    def after(self, before: list[Any]) -> Iterator[Found]:
        for entry in list(warnings.filters):
            action, message, category, module, line = entry
            origin = self._origins.of("warnings", (action, category))
            if entry not in before and origin is not None and origin is not ISOCLIENT:
                pattern = getattr(message, "pattern", message)
                what = f"{action} {getattr(category, '__name__', category)}" + (f" {pattern!r}" if pattern else "")
                yield Found("warnings", what, origin, (what, str(module), line))
