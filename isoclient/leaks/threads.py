"""Threads that go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from isoclient.compat import anyio_, asgiref_, python_pools, trio_, uvloop_
from isoclient.compat.python_threads import what_it_runs
from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT
from isoclient.system.modules import threading

__all__ = ["Threads"]

_OURS: Any = threading.Thread
"""The class that this package has its own threads of."""
_WORKERS: Final = (anyio_.is_worker, trio_.is_worker, uvloop_.is_worker)


class Threads:
    """Those that Python knows, without the workers which a library keeps for all that there is to do."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def before(self) -> list[threading.Thread]:
        return threading.enumerate()

    def after(self, before: list[threading.Thread]) -> Iterator[Found]:
        kept = {id(thread) for thread in before} | self._workers()
        for thread in threading.enumerate():
            origin = self._subject.origins.of_object(thread)
            if id(thread) in kept or origin is ISOCLIENT or not thread.is_alive():
                continue
            if not (isinstance(thread, _OURS) or any(is_worker(thread) for is_worker in _WORKERS)):
                yield Found("thread", _described(thread), origin, thread.ident)

    def _workers(self) -> set[int]:
        executors = self._subject.executor(), asgiref_.shared_executor()
        return {id(thread) for executor in executors for thread in python_pools.threads_of(executor)}


def _described(thread: threading.Thread) -> str:
    # Not whether it is a daemon: if nobody has said so, that depends on whether the app itself runs in one.
    parts = [repr(thread.name)]
    runs = what_it_runs(thread)
    name = getattr(runs, "__qualname__", None)
    if name is not None:
        parts.append(f"runs {runs.__module__}.{name}")
    return ", ".join(parts)
