"""Flow control: how much may be under way on one stream in one direction.

The receiver grants credit, the sender spends it. A message may be sent while *any* credit is left, so one message of
any size passes, and what can be under way is bounded by the window and one message. Like HTTP/2's windows (RFC 9113,
5.2), but a message also has a fixed cost, so that endless empty messages are held back too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["WINDOW", "ReceiveWindow", "SendWindow", "weight"]

WINDOW: Final = 4 * 1024 * 1024
"""The credit that each direction of a stream begins with, in bytes."""

_OVERHEAD: Final = 256


def weight(message: Mapping[str, Any]) -> int:
    """What a message costs, in bytes.

    Example:
        >>> weight({"type": "http.request", "body": b"x" * 1000, "more_body": False})
        1256
    """
    content = message.get("body") or message.get("bytes") or message.get("text")
    return _OVERHEAD + len(content) if content else _OVERHEAD


class SendWindow:
    """The sender's side: what is left to spend."""

    __slots__ = ("credit",)

    def __init__(self) -> None:
        self.credit = WINDOW

    @property
    def is_open(self) -> bool:
        """Whether a message may be sent now."""
        return self.credit > 0

    def spend(self, cost: int) -> None:
        """A message of this cost was sent."""
        self.credit -= cost

    def grant(self, amount: int) -> None:
        """The receiver granted more."""
        self.credit += amount


class ReceiveWindow:
    """The receiver's side: what was consumed and not yet granted again."""

    __slots__ = ("_consumed",)

    def __init__(self) -> None:
        self._consumed = 0

    def consume(self, cost: int) -> int:
        """A message of this cost was consumed; return the credit to grant now, 0 for none.

        Grants are saved up to half a window, so that a small exchange needs none.
        """
        self._consumed += cost
        if self._consumed < WINDOW // 2:
            return 0
        amount, self._consumed = self._consumed, 0
        return amount
