"""Python's logging: what a formatter is made of."""

from __future__ import annotations

from typing import Final

__all__ = ["FORMAT"]

FORMAT: Final = "_fmt"
"""The attribute of a formatter that has its format."""
