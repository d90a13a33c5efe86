"""Where a suspended coroutine is: the chain of what awaits what, in words."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, Final

from isoclient.system.modules import os

__all__ = ["describe_task", "walk_await_chain"]

_DEEPEST: Final = 100
_SERVER: Final = os.path.dirname(__file__) + os.sep


def describe_task(name: str, chain: Iterable[tuple[FrameType, int]]) -> list[str]:
    """A task in the form of a traceback, without the frames of the server; an empty list if nothing is left then."""
    frames = [(frame, line) for frame, line in chain if not frame.f_code.co_filename.startswith(_SERVER)]
    if not frames:
        return []
    return ["".join([f"task {name}:\n", *traceback.StackSummary.extract(iter(frames)).format()])]


def walk_await_chain(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """The frames of a suspended coroutine, outermost first, each with its current line.

    It follows coroutines, awaited generators and asynchronous generators.
    """
    for _ in range(_DEEPEST):
        frame = _first_of(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            return
        yield frame, frame.f_lineno
        coroutine = _first_of(coroutine, "cr_await", "gi_yieldfrom", "ag_await")


def _first_of(thing: object, *names: str) -> Any:
    for name in names:
        value = getattr(thing, name, None)
        if value is not None:
            return value
    return None
