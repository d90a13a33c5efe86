"""Which tests run together with their apps in one process, a unit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, NamedTuple

import pytest

__all__ = ["MODES", "Units", "is_together", "unit_of"]

MODES: Final = {
    "together": "run the tests of each file, with their apps, in one process, which is a fork of the run's",
    "together:test": "run each test, with its apps, in such a process",
}
"""What ``--isolated`` and the mark take beside the lifetimes of apps, and what it means."""


class Units(NamedTuple):
    """The units of a run.

    Attributes:
        unit_of: to which one a test belongs; None for one that runs in the process of the run.
        limit: seconds that each phase of a test may take; None for no limit.
        begin: called in the process of each, before anything else runs there.
    """

    unit_of: Callable[[pytest.Item], Hashable | None]
    limit: float | None
    begin: Callable[[], object]


def is_together(mode: object) -> bool:
    """Whether a test that is isolated so runs with its apps in one process."""
    return mode in list(MODES)


def unit_of(item: pytest.Item, mode: object) -> Hashable | None:
    """The unit of a test that is isolated so; None if it runs in the process of the run."""
    if mode == "together":
        return item.path
    return item if mode == "together:test" else None
