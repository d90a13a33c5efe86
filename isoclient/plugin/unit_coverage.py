"""Coverage of tests that run in a fork of the run's process: measured there as ever, and merged into the run's data.

The measurement of the run goes on in the fork, with all that plugins do to it there, such as naming contexts. Only what
it finds goes here in place of its database.
"""

from __future__ import annotations

import marshal
from typing import Any, TypeAlias

from isoclient.compat import coverage_py
from isoclient.mirror.measurement import Sink, keep_from_files, merge, running

__all__ = ["UnitCoverage", "take_in"]

Found: TypeAlias = "list[tuple[str | None, bytes]]"
"""What has run, in each context."""


class UnitCoverage:
    """In the fork: what has run there, since it was last asked for.

    Args:
        of_run: what measures the run's process; None if nothing does.
    """

    def __init__(self, of_run: Any) -> None:
        self._coverage = of_run if of_run is not None and coverage_py.can_measure() else None
        if self._coverage is None:
            return
        keep_from_files()
        # Where coverage.py is told to measure forks by itself, it has put another one in its place, for files.
        if (other := running()) is not self._coverage:
            if other is not None:
                other.stop()
            self._coverage.start()
        self._sink = _SinkOfContexts()
        coverage_py.divert(self._coverage, self._sink, keeps_context=True)
        coverage_py.flush(self._coverage)
        self._sink.take_all()  # it had run before the fork

    def take(self) -> tuple[Found, list[str]] | None:
        """What is new, and the packages of which nothing has been imported; None if nothing is."""
        if self._coverage is None:
            return None
        coverage_py.flush(self._coverage)
        found = self._sink.take_all()
        return (found, list(coverage_py.unmatched(self._coverage))) if found else None


class _SinkOfContexts(Sink):
    """The same as what it is made of, for one context after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._before: Found = []

    def set_context(self, context: str | None) -> str | None:
        """From now on it is in this one. Return the last."""
        self._put_away()
        last, self._current_context = self._current_context, context
        return last

    def _put_away(self) -> None:
        if self.has_news:
            self._before.append((self._current_context, marshal.dumps(self.take())))

    def take_all(self) -> Found:
        self._put_away()
        taken, self._before = self._before, []
        return taken


def take_in(found: Found, unmatched: list[str]) -> None:
    """In the run's process: merge what a fork has told."""
    current: Any = running()
    if current is None:
        return
    data = coverage_py.data_of(current)
    before = coverage_py.context_of(data)
    for context, ran in found:
        data.set_context(context)
        merge(data, *marshal.loads(ran))
    data.set_context(before)
    mine = coverage_py.unmatched(current)
    mine[:] = [name for name in mine if name in unmatched]
