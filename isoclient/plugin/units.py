"""Which tests run together with their apps in one process, a unit."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import pytest

__all__ = ["MODES", "is_together", "unit_of"]

MODES: Final = {
    "together": "run the tests of each file, with their apps, in one process, which is a fork of the run's",
    "together:test": "run each test, with its apps, in such a process",
}
"""What ``--isolated`` and the mark take beside the lifetimes of apps, and what it means."""


def is_together(mode: object) -> bool:
    """Whether a test that is isolated so runs with its apps in one process."""
    return mode in list(MODES)


def unit_of(item: pytest.Item, mode: object) -> Hashable | None:
    """The unit of a test that is isolated so; None if it runs in the process of the run."""
    if mode == "together":
        return item.path
    return item if mode == "together:test" else None
