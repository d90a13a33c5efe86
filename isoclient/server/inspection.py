"""Where a suspended coroutine is: the chain of what awaits what, in words."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from isoclient.system.modules import os, threading
from isoclient.system.thread_frames import stacks
from isoclient.transit.libraries import Spot, innermost, is_of_a_library

if TYPE_CHECKING:
    import asyncio

__all__ = ["describe_task", "describe_tasks", "spot_of_call", "walk_await_chain"]

_DEEPEST: Final = 100
_SERVER: Final = os.path.dirname(__file__) + os.sep


def describe_task(name: str, chain: Iterable[tuple[FrameType, int]]) -> list[str]:
    """A task in the form of a traceback, without the frames of the server; an empty list if nothing is left then."""
    frames = [(frame, line) for frame, line in chain if not _is_of_server(frame)]
    if not frames:
        return []
    return ["".join([f"task {name}:\n", *traceback.StackSummary.extract(iter(frames)).format()])]


def describe_tasks(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """Tasks of asyncio in that form, one below the other."""
    return "\n".join(
        text for task in tasks for text in describe_task(task.get_name(), walk_await_chain(task.get_coro()))
    )


def spot_of_call(chain: Iterable[tuple[FrameType, int]]) -> Spot | None:
    """Where a call of the app is: the innermost line of the app's own.

    Where the call is deep in a library, it may be waiting for a thread, as for an endpoint that is no coroutine: then
    the innermost line of the first thread that is in the app's own code.
    """
    here = innermost(_spots((frame, line) for frame, line in chain if not _is_of_server(frame)))
    if here is not None and not is_of_a_library(here.file):
        return here
    for thread, stack in stacks().items():
        there = innermost(_spots((frame, frame.f_lineno) for frame in reversed(stack)))
        if there is not None and not is_of_a_library(there.file) and thread != threading.get_ident():
            return there
    return here


def _spots(chain: Iterable[tuple[FrameType, int]]) -> Iterator[Spot]:
    for frame, line in chain:
        yield Spot(frame.f_code.co_filename, line, frame.f_code.co_name)


def _is_of_server(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_SERVER)


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
