"""Where the tasks of a process wait, told upon a signal: the stacks of threads say nothing of what an event loop runs.

It is for a process that is asked from outside, and has no server which could be asked. The main thread tells it, as
soon as it runs Python's code: so one that is stuck in C does not.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any, Final

from isoclient.server.inspection import describe_tasks
from isoclient.system.modules import os, signal

__all__ = ["TASKS_SIGNAL", "THESE_ARE_ALL", "write_tasks_to"]

TASKS_SIGNAL: Final = getattr(signal, "SIGRTMAX", 64) - 2 if hasattr(signal, "SIGRTMAX") else 0
"""The signal upon which they are written; one that nobody uses."""
THESE_ARE_ALL: Final = "(isoclient: these are all tasks)\n"
"""What is behind the last of them."""


def write_tasks_to(descriptor: int) -> None:
    """Have the tasks of asyncio in this process written there when it is sent :data:`TASKS_SIGNAL`."""

    def write(number: int, frame: object) -> None:
        text = ""
        with contextlib.suppress(Exception):  # of a task of anybody's making
            text = "".join(_told())
        with contextlib.suppress(OSError):  # somebody has closed it
            os.write(descriptor, f"{text}{THESE_ARE_ALL}".encode(errors="backslashreplace"))

    if TASKS_SIGNAL:
        signal.signal(TASKS_SIGNAL, write)


def _told() -> Iterator[str]:
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        return
    # Python knows which loop runs in this thread, and nothing of those in others.
    loops = [thing for thing in gc.get_objects() if issubclass(type(thing), asyncio.AbstractEventLoop)]
    for loop in loops:
        if loop.is_running() and (told := describe_tasks(asyncio.all_tasks(loop))):
            yield f"{told.rstrip()}\n"
