"""Whether a debugger is at work: then nothing is late, for somebody is reading and typing."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

from isoclient.compat.pydevd_ import is_attached
from isoclient.compat.python_pdb import PROMPT
from isoclient.system.modules import time
from isoclient.system.thread_frames import stacks

__all__ = ["is_at_work", "prompts"]


class _Prompts:
    """The prompts of debuggers in the apps' processes that are open now, of all apps of this process.

    Attributes:
        open: how many there are.
        last_end: when the last one was closed, on the monotonic clock; a wait that had begun before begins anew then.
    """

    def __init__(self) -> None:
        self.open = 0
        self.last_end = float("-inf")

    def begin(self) -> None:
        self.open += 1

    def end(self) -> None:
        self.open -= 1
        self.last_end = time.monotonic()


prompts: Final = _Prompts()


def is_at_work() -> bool:
    """Whether some thread of this process is stopped in pdb or the like, an app's process is, or an IDE is attached.

    It is asked only when a deadline has passed, so it may take its time.
    """
    return prompts.open > 0 or is_attached() or _some_thread_is_in_pdb()


def _some_thread_is_in_pdb() -> bool:
    """Whether some thread is where bdb has stopped it; debuggers that build on it, such as ipdb, are found too."""
    files = {module.__file__ for name in ("bdb", "pdb") if (module := sys.modules.get(name)) is not None}
    return bool(files) and any(_is_stop(frame, files) for stack in stacks().values() for frame in stack)


def _is_stop(frame: FrameType, files: set[str | None]) -> bool:
    code = frame.f_code
    return code.co_filename in files and (code.co_name.startswith("dispatch_") or code.co_name == PROMPT)
