"""What both ends of the wire know of each other."""

from __future__ import annotations

__all__ = ["LinkError"]


class LinkError(Exception):
    """What came over the pipe is not what the other side of it sends: a frame is damaged, or not a frame at all."""
