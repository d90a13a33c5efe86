"""Waiting for what can only be asked for, such as how far an app has come."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

__all__ = ["eventually"]


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Ask again and again until it is true; fail where it is not by then."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, f"it has not come true within {seconds:g} s"
