"""What the app has run, merged into what this process measures."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from isoclient.compat import coverage_py

__all__ = ["merge_coverage"]

Ran = Mapping[str, Iterable[Any]]


class _Merged:
    """What one database has got already: most requests run nothing new, and should not cost a transaction.

    Args:
        data: the database, a ``coverage.CoverageData``.
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        self._context = coverage_py.context_of(data)
        self._known: dict[str, set[Any]] = {}

    def is_of(self, data: Any) -> bool:
        """Whether it is about this database, in the context that it is in now."""
        return self._data is data and self._context == coverage_py.context_of(data)

    def new(self, ran: Ran) -> dict[str, set[Any]]:
        """What of this is new; from now on it is not."""
        found = {file: set(what) - self._known.get(file, set()) for file, what in ran.items()}
        for file, what in found.items():
            self._known.setdefault(file, set()).update(what)
        return {file: what for file, what in found.items() if what}


_merged: _Merged | None = None


def merge_coverage(payload: bytes) -> None:
    """Merge it into the data of the coverage that is running here now.

    Where none is, as in a test that is not to be measured, it is dropped.
    """
    coverage = sys.modules.get("coverage")
    current: Any = coverage.Coverage.current() if coverage is not None else None
    if current is not None:
        lines, arcs, tracers, unmatched = marshal.loads(payload)
        _merge(coverage_py.data_of(current), lines, arcs, tracers)
        # What this process has never imported, but the app has, is not missing.
        mine = coverage_py.unmatched(current)
        mine[:] = [name for name in mine if name in unmatched]


def _merge(data: Any, lines: Ran, arcs: Ran, tracers: Mapping[str, str]) -> None:
    # Not by way of Coverage.get_data(), which looks for all files that could be measured, each time anew.
    global _merged
    if _merged is None or not _merged.is_of(data):
        _merged = _Merged(data)
    if new_lines := _merged.new(lines):
        data.add_lines(new_lines)
    if new_arcs := _merged.new(arcs):
        data.add_arcs(new_arcs)
    if tracers := {file: name for file, name in tracers.items() if file in new_lines or file in new_arcs}:
        data.add_file_tracers(tracers)
