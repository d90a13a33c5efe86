"""coverage.py: where what has run is kept before it is in a database."""

from __future__ import annotations

from typing import Any

from isoclient.compat.self_tests import self_test

__all__ = ["can_measure", "context_of", "data_of", "divert", "flush", "silence", "unmatched"]


@self_test("Measuring the app", project="coverage")
def can_measure() -> None:
    from coverage import Coverage, CoverageData
    from coverage.collector import Collector
    from coverage.inorout import InOrOut

    assert {"_collector", "_inorout"} <= set(Coverage.__init__.__code__.co_names)
    assert callable(Coverage._warn)
    assert all(map(callable, (Collector.use_data, Collector.flush_data)))
    assert "covdata" in Collector.use_data.__code__.co_names
    assert "source_pkgs_unmatched" in InOrOut.__init__.__code__.co_names
    assert "_current_context" in CoverageData.__init__.__code__.co_names


def silence(coverage: Any) -> None:
    """Let it warn of nothing."""
    coverage._warn = lambda *args, **kwargs: None


def divert(coverage: Any, sink: object, *, keeps_context: bool = False) -> None:
    """Let what has run go into this, in the place of its database."""
    collector = coverage._collector
    collector.use_data(sink, collector.static_context if keeps_context else None)


def flush(coverage: Any) -> None:
    """Let go there what has run since the last time."""
    coverage._collector.flush_data()


def data_of(coverage: Any) -> Any:
    """The database of one that is running. ``Coverage.get_data()`` looks for all files that could be measured, too."""
    return coverage._collector.covdata


def context_of(data: Any) -> str | None:
    """The context that a database is in."""
    context: str | None = data._current_context
    return context


def unmatched(coverage: Any) -> list[str]:
    """The packages that are to be measured and of which nothing has been imported yet; it may be changed."""
    packages: list[str] = coverage._inorout.source_pkgs_unmatched
    return packages
