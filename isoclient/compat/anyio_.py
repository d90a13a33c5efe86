"""AnyIO: what it knows of the thread that it is used in, and what it imports at its first use."""

from __future__ import annotations

import sys
from typing import Any, Final

from isoclient.compat.python_imports import is_loaded
from isoclient.compat.self_tests import self_test

__all__ = ["ON_ASYNCIO", "forget_anyio", "is_worker", "know_anyio"]

ON_ASYNCIO: Final = "anyio._backends._asyncio"
"""What it imports at the first call that has to do with a thread or a lock, such as Starlette's and FastAPI's."""


@self_test("The use of anyio in an app that is a fork of a test that uses anyio", project="anyio")
def _is_known() -> None:
    assert hasattr(_state(), "__dict__")


def know_anyio() -> bool:
    """Whether it is in use, and as it was; to be asked before the fork."""
    return is_loaded("anyio") and _is_known()


def forget_anyio() -> None:
    """In a fork: the event loop that it has for this thread is the test's."""
    vars(_state()).clear()


def _state() -> Any:
    eventloop: Any = sys.modules["anyio._core._eventloop"]
    return eventloop.threadlocals


def is_worker(thread: object) -> bool:
    """Whether it is one of the threads that anyio keeps for what is to run in threads."""
    kind = type(thread)
    return kind.__module__ == ON_ASYNCIO and kind.__qualname__ == "WorkerThread"
