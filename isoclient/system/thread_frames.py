"""The frames of threads that may go on meanwhile.

Python 3.11 makes the object of a frame when that is asked for, and may collect garbage amid it. A finalizer may let
other threads run then. When the object is made at last, the frame may be gone, and its memory another's: what is read
by that object is anything, and often the end of the process. Later versions collect garbage at other moments. So
nothing is collected while somebody looks at frames of other threads, or at what is in them.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from isoclient.system.locks import make_lock

__all__ = ["is_collecting", "nothing_collected", "stack_of", "stacks"]

_lock: Final = make_lock()


@contextmanager
def nothing_collected() -> Iterator[None]:
    """For as long as this lasts, the garbage collector is off; one thread at a time."""
    with _lock:
        collects = gc.isenabled()
        try:
            gc.disable()
            yield
        finally:
            if collects:
                gc.enable()


def is_collecting() -> bool:
    """Whether the garbage collector is on when nobody looks; it waits for a thread that does."""
    with _lock:
        return gc.isenabled()


def stack_of(thread: int | None) -> list[FrameType]:
    """The frames of a thread, by its number, the innermost first; none if there is no such thread."""
    with nothing_collected():
        return _below(sys._current_frames().get(thread or 0))


def stacks() -> dict[int, list[FrameType]]:
    """The frames of each thread, this one included, by its number."""
    with nothing_collected():
        return {thread: _below(top) for thread, top in sys._current_frames().items()}


def _below(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found
