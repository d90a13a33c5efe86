"""Trio: what it knows of the thread that runs it, and its idle threads."""

from __future__ import annotations

import sys
from typing import Any, Final

from isoclient.compat.python_imports import is_loaded
from isoclient.compat.python_threads import what_it_runs
from isoclient.compat.self_tests import self_test
from isoclient.system.modules import threading

__all__ = ["forget_trio", "is_worker", "know_trio"]

_RUN: Final = "trio._core._run"
_THREADS: Final = "trio._core._thread_cache"


@self_test("The use of trio in an app that is a fork of a test that uses trio", project="trio")
def _is_known() -> None:
    context, idle = _state()
    assert hasattr(context, "__dict__")
    assert type(idle) is dict


def know_trio() -> bool:
    """Whether it is in use, and as it was; to be asked before the fork."""
    return is_loaded("trio") and _is_known()


def forget_trio() -> None:
    """In a fork: the run that this thread is in is the test's.

    And trio keeps idle threads for the next one that is needed. Before 0.28 it took them for its own there.
    """
    context, idle = _state()
    vars(context).clear()
    idle.clear()


def _state() -> tuple[Any, Any]:
    run: Any = sys.modules[_RUN]
    threads: Any = sys.modules[_THREADS]
    return run.GLOBAL_RUN_CONTEXT, threads.THREAD_CACHE._idle_workers


def is_worker(thread: threading.Thread) -> bool:
    """Whether it is one of the threads that trio keeps for what is to run in threads."""
    return getattr(what_it_runs(thread), "__module__", None) == _THREADS
