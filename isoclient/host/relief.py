"""What is done first when memory has run out, for all that tells of it needs some.

Where the app's process has a limit of memory, that is lifted again, which needs none: what is called is written in C,
and all that it is given is there already. Then it is noted, for whatever follows may fail all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from isoclient.link.limits import note_of
from isoclient.link.system import os

__all__ = ["arm", "end_here", "relieve"]

_lift: Callable[[], Any] = bool  # which does nothing, and needs nothing for that
_note: Callable[[], Any] = bool


def arm(lift: Callable[[], Any], descriptor: int) -> None:
    """There is a limit of memory.

    Args:
        lift: lifts it.
        descriptor: where it is noted that it was hit.
    """
    global _lift, _note
    _lift, _note = lift, partial(os.write, descriptor, note_of("memory"))


def relieve() -> None:
    """Memory has run out."""
    _lift()
    _note()


def end_here() -> None:
    """Memory has run out where nobody waits for an answer: the limit ends the process, if there is one."""
    if _lift is not bool:
        relieve()
        os._exit(1)
