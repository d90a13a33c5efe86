"""Temporary files and directories that are there still."""

from __future__ import annotations

from collections.abc import Iterator

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT
from isoclient.system.modules import os

__all__ = ["TemporaryFiles"]


class TemporaryFiles:
    """What :mod:`tempfile` has made."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> set[object]:
        return set(self._origins.keys("temporary file"))

    def after(self, before: set[object]) -> Iterator[Found]:
        for path in self._origins.keys("temporary file"):
            origin = self._origins.of("temporary file", path)
            if path not in before and origin is not ISOCLIENT and os.path.lexists(str(path)):
                yield Found("temporary file", str(path), origin, path)
