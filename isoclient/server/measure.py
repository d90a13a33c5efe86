"""Coverage of the app: measured here with the test's configuration, and merged into its data over there.

The data never touch the disk. The collector of coverage.py delivers into an object of ours in place of its database,
and that goes into the journal whenever a call of the app ends. So a crash costs what the call that crashed has run.
"""

from __future__ import annotations

import atexit
import contextlib
import marshal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isoclient.compat import coverage_py
from isoclient.server.journal import Journal
from isoclient.system.modules import os
from isoclient.wire.journal import COVERAGE

__all__ = ["Measurement"]


class Measurement:
    """What of the app runs, from now on.

    Args:
        journal: where it is told.
        config: the test's configuration: the attributes of :class:`coverage.config.CoverageConfig`.
        directory: what the paths in it are relative to.
    """

    def __init__(self, journal: Journal, config: Mapping[str, Any], directory: str) -> None:
        self._journal = journal
        self._sink = _Sink()
        # Exit handlers run in the reverse of their order: those of the app are measured, and coverage.py's own has run.
        atexit.register(self.tell)
        with _within(directory):
            from coverage import Coverage  # which looks at the current directory, and needs one

            _end_others()
            coverage: Any = Coverage(data_file=None, config_file=False)
            coverage_py.silence(coverage)  # the test's own has warned of the configuration, or will
            _configure(coverage.config, config)
            coverage.start()
        coverage_py.divert(coverage, self._sink)
        self._coverage = coverage

    def tell(self) -> None:
        """Tell the test what has run since the last time."""
        coverage_py.flush(self._coverage)
        if self._sink.has_news:
            unmatched = list(coverage_py.unmatched(self._coverage))
            self._journal.write(COVERAGE, marshal.dumps((*self._sink.take(), unmatched)))


class _Sink:
    """Stands in for the database of coverage.py: takes what is put there, until it is taken from here.

    The collector flushes what it has seen; and an app that is a test client itself has that of its own app merged.
    """

    def __init__(self) -> None:
        self._lines: dict[str, set[int]] = {}
        self._arcs: dict[str, set[tuple[int, int]]] = {}
        self._tracers: dict[str, str] = {}
        self._current_context: str | None = None  # named as there

    def add_lines(self, lines: Mapping[str, Iterable[int]]) -> None:
        for file, numbers in lines.items():
            self._lines.setdefault(file, set()).update(numbers)

    def add_arcs(self, arcs: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        for file, pairs in arcs.items():
            self._arcs.setdefault(file, set()).update(pairs)

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        self._tracers.update(tracers)

    def set_context(self, context: str | None) -> None:
        """The context is the test's, and known there."""

    @property
    def has_news(self) -> bool:
        return bool(self._lines or self._arcs)

    def take(self) -> tuple[dict[str, set[int]], dict[str, set[tuple[int, int]]], dict[str, str]]:
        taken = self._lines, self._arcs, self._tracers
        self._lines, self._arcs, self._tracers = {}, {}, {}
        return taken


def _end_others() -> None:
    """A measurement that a fork has inherited, or that the user's configuration has started here, into files."""
    from coverage import Coverage

    # Not of those alone that are found here: what coverage.py puts in place of os._exit, where it is told to, saves the
    # data of one that a fork has inherited, in place of what the test's process has written meanwhile.
    Coverage.save = _ignore  # type: ignore[method-assign]
    while (other := Coverage.current()) is not None:
        with contextlib.suppress(Exception):  # its collector may belong to the process that we come from
            other.stop()


@contextlib.contextmanager
def _within(directory: str) -> Iterator[None]:
    """Paths of a configuration mean what they did when the test run began, wherever a test has gone since."""
    before = os.open(".", os.O_RDONLY)  # and not by its name, which it may have lost
    try:
        os.chdir(directory)
        yield
    finally:
        os.chdir(before)
        os.close(before)


def _configure(ours: Any, theirs: Mapping[str, Any]) -> None:
    vars(ours).update(theirs)
    ours.parallel = False
    ours.sigterm = False
    ours.patch = []
    ours.dynamic_context = None


def _ignore(*_: object, **__: object) -> None:
    pass
