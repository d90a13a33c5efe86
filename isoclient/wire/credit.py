"""Flow control: how much may be under way on one stream in one direction.

The receiver grants credit, the sender spends it. A message may be sent while *any* credit is left, so one message of
any size passes, and what can be under way is bounded by the window and one message. Like HTTP/2's windows (RFC 9113,
5.2), but a message also has a fixed cost, so that endless empty messages are held back too.

The counters are those of :class:`isoclient.wire.mux.Stream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["GRANT_AT", "WINDOW", "weight"]

WINDOW: Final = 4 * 1024 * 1024
"""The credit that each direction of a stream begins with, in bytes."""

GRANT_AT: Final = WINDOW // 2
"""Grants are saved up to this, in bytes, so that a small exchange needs none."""

_OVERHEAD: Final = 256


def weight(message: Mapping[str, Any]) -> int:
    """What a message costs, in bytes.

    Example:
        >>> weight({"type": "http.request", "body": b"x" * 1000, "more_body": False})
        1256
    """
    content = message.get("body") or message.get("bytes") or message.get("text")
    return _OVERHEAD + len(content) if content else _OVERHEAD
