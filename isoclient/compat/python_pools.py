"""The pools of :mod:`concurrent.futures`, in a fork of the process that they belong to."""

from __future__ import annotations

import queue
import sys
import weakref
from typing import Any, Final

from isoclient.compat.python_imports import is_loaded
from isoclient.compat.self_tests import self_test
from isoclient.system.modules import threading

__all__ = ["know_processes", "know_threads", "leave_processes_alone", "leave_threads_alone", "threads_of"]

_OF_THREADS: Final = "concurrent.futures.thread"
_OF_PROCESSES: Final = "concurrent.futures.process"
_NOT_HERE: Final = (
    "this pool of processes belongs to the test's process, of which the app's is a fork: let the app make one of its "
    "own, when it starts or when it needs it first"
)


@self_test("The use of the test's ThreadPoolExecutor in an app that is a fork", project="Python")
def _knows_threads() -> None:
    module: Any = sys.modules[_OF_THREADS]
    assert isinstance(module._threads_queues, weakref.WeakKeyDictionary)
    assert callable(module._python_exit)
    used = {"_threads", "_idle_semaphore", "_work_queue", "_shutdown_lock"}
    assert used <= set(module.ThreadPoolExecutor.__init__.__code__.co_names)


@self_test("Telling an app that is a fork that the test's ProcessPoolExecutor is not its own", project="Python")
def _knows_processes() -> None:
    module: Any = sys.modules[_OF_PROCESSES]
    assert isinstance(module._threads_wakeups, weakref.WeakKeyDictionary)
    assert callable(module._python_exit)
    used = {"_broken", "_executor_manager_thread_wakeup", "_shutdown_lock"}
    assert used <= set(module.ProcessPoolExecutor.__init__.__code__.co_names)


def know_threads() -> bool:
    """Whether pools of threads are in use, and as they were; to be asked before the fork."""
    return is_loaded(_OF_THREADS) and _knows_threads()


def know_processes() -> bool:
    """The same of pools of processes."""
    return is_loaded(_OF_PROCESSES) and _knows_processes()


def leave_threads_alone() -> None:
    """In the fork: join no threads of pools at the end, for they are gone, and let the pools go on with others.

    One of those threads may be the one that has forked: the main thread now, which can't join itself.
    """
    module: Any = sys.modules[_OF_THREADS]
    _join_at_exit(module._python_exit)
    _refill(module._threads_queues)


def leave_processes_alone() -> None:
    """In the fork: the processes of pools are the test's; say so to those who use them."""
    module: Any = sys.modules[_OF_PROCESSES]
    _join_at_exit(module._python_exit)
    _break(module._threads_wakeups)


def _join_at_exit(join: object) -> None:
    """What the module has registered for what the app makes of it has been forgotten with the rest."""
    live: Any = sys.modules["threading"]
    live._threading_atexits.append(join)


def _refill(workers: Any) -> None:
    """A pool that takes the test's threads for its own would wait for ever for one of them to do its work."""
    for thread in list(workers):
        pool = _called(getattr(thread, "_args", ())[:1])
        if pool is not None:
            pool._threads = set()
            pool._idle_semaphore = threading.Semaphore(0)
            pool._work_queue = queue.SimpleQueue()
            pool._shutdown_lock = threading.Lock()
    workers.clear()


def _break(managers: Any) -> None:
    """The thread that gives the processes of a pool their work is the test's, and so are they."""
    for thread in list(managers):
        pool = _called((thread.executor_reference,))
        if pool is not None:
            pool._broken = _NOT_HERE
            pool._executor_manager_thread_wakeup = None
            pool._shutdown_lock = threading.Lock()
    managers.clear()


def _called(references: tuple[Any, ...]) -> Any:
    """What a weak reference refers to, if there is one."""
    return references[0]() if references and isinstance(references[0], weakref.ref) else None


def threads_of(executor: object) -> list[threading.Thread]:
    """Those of a ThreadPoolExecutor; none of anything else."""
    found: Any = getattr(executor, "_threads", None)
    return list(found) if isinstance(found, set) else []
