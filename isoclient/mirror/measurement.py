"""Coverage of the app: measured there with the test's configuration, and merged into the data of the test's process.

The data never touch the disk. The collector of coverage.py delivers into an object of ours in place of its database,
and that goes into the journal whenever a call of the app ends. So a crash costs what the call that crashed has run.
"""

from __future__ import annotations

import atexit
import contextlib
import marshal
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isoclient.compat import coverage_py
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.system.lift import Patches
from isoclient.system.modules import os

__all__ = ["Measurement", "Sink", "keep_from_files", "merge", "running"]

Ran = Mapping[str, Iterable[Any]]


class Measurement(Mirrored):
    """What of the app runs."""

    # -- in the test's process

    def first(self, *, fresh: bool) -> tuple[dict[str, Any], str] | None:
        """The configuration that this process measures with, and where its paths begin; None if it does not."""
        current = running()
        if current is None or not coverage_py.can_measure():
            return None
        config = {name: value for name, value in vars(current.config).items() if not name.startswith("_")}
        return config, sys.modules["coverage.files"].relative_directory()

    def replay(self, payload: bytes) -> None:
        """Merge it into the data of the coverage that is running here now.

        Where none is, as in a test that is not to be measured, it is dropped.
        """
        current = running()
        if current is not None:
            lines, arcs, tracers, unmatched = marshal.loads(payload)
            merge(coverage_py.data_of(current), lines, arcs, tracers)
            # What this process has never imported, but the app has, is not missing.
            mine = coverage_py.unmatched(current)
            mine[:] = [name for name in mine if name in unmatched]

    # -- in the app's process

    def begin(self, first: tuple[dict[str, Any], str] | None, reporter: Reporter) -> None:
        """Measure from now on, if the test does."""
        if first is None:
            return
        self._reporter = reporter
        self._sink = Sink()
        # Exit handlers run in the reverse of their order: those of the app are measured, and coverage.py's own has run.
        atexit.register(self._tell)
        with Patches(files=True):
            self._coverage = _start(*first)
        coverage_py.divert(self._coverage, self._sink)
        reporter.at_call_end.append(self._tell)

    def _tell(self) -> None:
        """What has run since the last time."""
        coverage_py.flush(self._coverage)
        if self._sink.has_news:
            unmatched = list(coverage_py.unmatched(self._coverage))
            self._reporter.tell(marshal.dumps((*self._sink.take(), unmatched)))


# -- in the test's process


def running() -> Any:
    """The coverage that measures this process; None if none does."""
    coverage = sys.modules.get("coverage")
    return coverage.Coverage.current() if coverage is not None else None


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
"""One for the process, as the database is: what one app has run is nothing new when the next one does."""


def merge(data: Any, lines: Ran, arcs: Ran, tracers: Mapping[str, str]) -> None:
    """Put into a database what has run in another process."""
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


# -- in the app's process


def _start(config: Mapping[str, Any], directory: str) -> Any:
    """Begin to measure.

    Args:
        config: the attributes of a :class:`coverage.config.CoverageConfig`.
        directory: what the paths in it are relative to.
    """
    with _within(directory):
        from coverage import Coverage  # which looks at the current directory, and needs one

        _end_others()
        coverage: Any = Coverage(data_file=None, config_file=False)
        coverage_py.silence(coverage)  # the test's own has warned of the configuration, or will
        _configure(coverage.config, config)
        coverage.start()
    return coverage


class Sink:
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

    def set_context(self, context: str | None) -> str | None:
        """The context is the test's, and known there."""
        return None

    @property
    def has_news(self) -> bool:
        return bool(self._lines or self._arcs)

    def take(self) -> tuple[dict[str, set[int]], dict[str, set[tuple[int, int]]], dict[str, str]]:
        taken = self._lines, self._arcs, self._tracers
        self._lines, self._arcs, self._tracers = {}, {}, {}
        return taken


def keep_from_files() -> None:
    """Let nothing that measures this process write a file.

    Not those alone that are found here: what coverage.py puts in place of os._exit, where it is told to, saves the data
    of one that a fork has inherited, in place of what the test's process has written meanwhile.
    """
    from coverage import Coverage

    Coverage.save = _ignore  # type: ignore[method-assign]


def _end_others() -> None:
    """A measurement that a fork has inherited, or that the user's configuration has started here, into files."""
    from coverage import Coverage

    keep_from_files()
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
