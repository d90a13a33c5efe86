"""uvloop: the threads that its event loops keep."""

from __future__ import annotations

from isoclient.compat.python_threads import what_it_runs
from isoclient.system.modules import threading

__all__ = ["is_worker"]


def is_worker(thread: threading.Thread) -> bool:
    """Whether it is one of the threads of the executor that a loop has by default, which nobody can ask it for."""
    return thread.name.startswith("uvloop_") and what_it_runs(thread).__module__ == "concurrent.futures.thread"
