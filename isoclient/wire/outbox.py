"""What waits to be written to the pipe, in order, whole frames only."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Buffer", "Outbox"]

Buffer = bytes | memoryview

_MOST_PARTS: Final = 64  # well under any IOV_MAX
_JOINED: Final = 16 * 1024  # parts up to this size are cheaper to copy together than to pass one by one


class Outbox:
    """A queue of frames, and what of it is to be written next.

    Any thread may put a frame into it at any moment, a signal handler or a finalizer amid another's too: that is one
    step, on the right. Writing is for one thread at a time, and happens on the left.

    Example:
        >>> box = Outbox()
        >>> box.put(b"head", b"payload")
        >>> box.next()
        b'headpayload'
        >>> box.sent(5)
        >>> bytes(box.next())
        b'ayload'
        >>> box.sent(6)
        >>> box.parts
        deque([])

    Attributes:
        parts: what waits, to be looked at alone; empty if nothing does.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: deque[Buffer] = deque()

    def put(self, head: bytes, payload: bytes = b"") -> None:
        """Add a frame: its packed head, and its payload, which is not copied."""
        if payload:
            self.parts.extend((head, payload))
        else:
            self.parts.append(head)

    def next(self) -> Buffer | list[Buffer]:
        """What to write next: one buffer, or several to be written in one go; of an outbox in which something waits."""
        parts = self.parts
        if len(parts) == 1:
            return parts[0]
        # By their places, for an iterator would not outlive that more is put there meanwhile.
        several = [parts[at] for at in range(min(len(parts), _MOST_PARTS))]
        if sum(map(len, several)) > _JOINED:
            return several
        joined = b"".join(several)
        for _ in several:
            parts.popleft()
        parts.appendleft(joined)
        return joined

    def sent(self, count: int) -> None:
        """So many bytes have been written."""
        parts = self.parts
        while count:
            first = parts[0]
            if count < len(first):
                parts[0] = memoryview(first)[count:]
                return
            count -= len(first)
            parts.popleft()

    def clear(self) -> None:
        """Forget what waits: the other side is gone."""
        self.parts.clear()
