"""Python's text streams: how much they keep back."""

from __future__ import annotations

from typing import Any

from isoclient.compat.self_tests import self_test
from isoclient.system.modules import io

__all__ = ["can_keep_back", "keep_back"]


@self_test("Writing a long line of output at once", project="Python")
def can_keep_back() -> None:
    stream: Any = io.TextIOWrapper(io.BytesIO())
    stream._CHUNK_SIZE = stream._CHUNK_SIZE * 2


def keep_back(stream: io.TextIOWrapper, most: int) -> None:
    """Let a stream keep back so many bytes of a line that has no end yet, and no more.

    Args:
        stream: one that writes at the end of each line.
        most: how many.
    """
    if can_keep_back():
        stream._CHUNK_SIZE = most  # type: ignore[attr-defined]
