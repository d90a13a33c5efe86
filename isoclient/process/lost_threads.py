"""The threads of the test's process that an app which is a fork of it lacks."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from isoclient.compat.python_threads import what_it_runs
from isoclient.system.modules import threading

__all__ = ["work_of_others"]

_WITHOUT_USE: Final = frozenset(
    (
        *("_pytest", "anyio", "asyncio", "concurrent", "coverage", "execnet", "isoclient", "multiprocess"),
        *("multiprocessing", "pydevd", "pytest_timeout", "socketserver", "time_machine", "trio", "xdist"),
    )
)
"""Whose threads a copy does without: a test run's own, event loops of the test, and pools, which start others there."""


def work_of_others() -> list[str]:
    """The threads beside this one that do somebody's work, each with its name, and what it runs; for before a fork.

    They are not kept: a thread has what its function was given, and that is to be gone when the test has ended it.
    """
    this = threading.get_ident()  # threading.current_thread would ask whatever a test has put in its place
    found = ((thread, _place(what_it_runs(thread))) for thread in threading.enumerate() if thread.ident != this)
    return [f"{thread.name!r} ({place})" for thread, place in found if place]


def _place(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    if not isinstance(function, FunctionType | MethodType):
        return ""
    module = str(function.__module__)
    return "" if module.partition(".")[0] in _WITHOUT_USE else f"{module}.{function.__qualname__}"
