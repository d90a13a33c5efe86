"""Warnings of the app, shown in the test's process."""

from __future__ import annotations

import warnings

from isoclient.transit.records import unpack_warning

__all__ = ["replay_warning"]


def replay_warning(data: bytes) -> None:
    """Show it, however warnings are shown now: ``pytest.warns`` and the warnings summary record it."""
    warned = unpack_warning(data)
    warnings.showwarning(warned.message, type(warned.message), warned.filename, warned.line, None, warned.source)
