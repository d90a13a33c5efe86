"""What Python does at the end of an interpreter: exit handlers, finalizers, and threads that are joined."""

from __future__ import annotations

import atexit
import sys
import weakref
from typing import Any, Final

from isoclient.compat.self_tests import self_test
from isoclient.system.modules import threading

__all__ = ["can_end", "can_forget_exit_handlers", "end_the_interpreter", "forget_exit_handlers"]

_finalize: Any = weakref.finalize
_forgotten: Final[list[object]] = []  # to take it apart would be to copy the memory of all that is in it


@self_test("That a fork of the test's process runs none of its exit handlers", project="Python")
def can_forget_exit_handlers() -> None:
    assert callable(atexit._clear)
    assert type(_finalize._registry) is dict
    assert type(_finalize._registered_with_atexit) is bool
    assert type(sys.modules["threading"]._threading_atexits) is list


def forget_exit_handlers() -> None:
    """Those of atexit, those that are called before threads are joined, and all finalizers."""
    atexit._clear()
    _forgotten.append(_finalize._registry)
    _finalize._registry = {}
    # It registers itself once, with the first finalizer.
    _finalize._registered_with_atexit = False
    live: Any = sys.modules["threading"]  # which alone has what has been registered
    live._threading_atexits.clear()


@self_test("That the app's exit handlers run when its process ends", project="Python")
def can_end() -> None:
    assert callable(threading._shutdown)  # type: ignore[attr-defined]
    assert callable(atexit._run_exitfuncs)


def end_the_interpreter() -> None:
    """Join the threads and run the exit handlers, as an interpreter does that ends."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
