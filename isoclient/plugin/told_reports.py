"""Reports of tests on their way from the process that they have run in to that of their run.

One that says nothing but that all is well crosses as pytest itself has it in text. One that has something to show is
sent as it is: what pytest makes a text of loses its colors, the numbers of its lines, and what a plugin has put there.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any, Final

import pytest

from isoclient.system.modules import io, pickle

__all__ = ["ReportWriter", "report_of"]

_AS_IT_IS, _IN_TEXT = "as it is", "in text"
_FAILURES: Final = Exception  # of pickling, for an attribute may be anything


class ReportWriter:
    """Writes reports.

    It is made once, in the run's process, and used in its forks: to look at all modules there would have them copy the
    memory of each name.

    Args:
        config: of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._modules = frozenset(sys.modules)  # what is imported later is not known to the other process

    def __call__(self, report: pytest.TestReport) -> tuple[str, Any]:
        """How it is written, and the report so."""
        if report.longrepr is not None or type(report) is not pytest.TestReport:
            try:
                written = pickle.dumps(report, protocol=5)
                _load(written, self._modules)
                return _AS_IT_IS, written
            except _FAILURES:
                pass
        return _IN_TEXT, self._config.hook.pytest_report_to_serializable(config=self._config, report=report)


def report_of(config: pytest.Config, how: str, written: Any) -> pytest.TestReport:
    """The report."""
    if how == _AS_IT_IS:
        report = _load(written, sys.modules)
    else:
        report = config.hook.pytest_report_from_serializable(config=config, data=written)
    assert isinstance(report, pytest.TestReport)
    return report


def _load(written: bytes, modules: Collection[str]) -> object:
    """Load it, but import nothing."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module not in modules:
                raise LookupError(module)
            return super().find_class(module, name)

    return Unpickler(io.BytesIO(written)).load()
