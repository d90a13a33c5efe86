"""Python's threads: what they know of themselves."""

from __future__ import annotations

from typing import Any

from isoclient.compat.self_tests import self_test
from isoclient.system.lift import Patches
from isoclient.system.modules import threading

__all__ = ["Thread", "can_be_renumbered", "renumber_this_thread", "what_it_runs"]


class Thread(threading.Thread):
    """A thread that ends also where a test has patched what the end of a thread asks for."""

    def _delete(self) -> None:
        """Be no longer among the threads of this process: the last that is done in it, in which it asks who it is."""
        with Patches():
            super()._delete()  # type: ignore[misc]


@self_test("Telling which threads of the test an app that is a fork lacks", project="Python")
def _has_target() -> None:
    assert vars(threading.Thread(target=_has_target))["_target"] is _has_target


def what_it_runs(thread: threading.Thread) -> Any:
    """The function that a thread runs; None for the main thread, and for one that Python has not started."""
    of_class = type(thread).run
    if of_class is not threading.Thread.run:
        return of_class if of_class is not threading.Timer.run else getattr(thread, "function", None)
    return vars(thread).get("_target") if _has_target() else None


@self_test("That the main thread of an app that is a fork knows its number", project="Python")
def can_be_renumbered() -> None:
    main: Any = threading.main_thread()
    assert callable(main._set_native_id)


def renumber_this_thread() -> None:
    """In a fork: the system has given it another number."""
    main: Any = threading.main_thread()
    main._set_native_id()
