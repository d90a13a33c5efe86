"""What a fork of the test's process inherits of the interpreter's own state, and must not keep, or must.

The standard library keeps registries that a fork copies: of threads to be joined, of children, of handlers for the
exit, of event loops that run. They are the test's: by them the app would wait for threads that are not there, end the
test's children, or remove its temporary directories. The other way round, CPython seeds :mod:`random` anew in each
fork, where the app is to draw what the test has seeded.

All of that is known here, each item in a function of its own. How the app's process gets signals, files and a group of
its own is the business of :mod:`isoclient.server.child`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import queue
import random
import sys
import weakref
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from isoclient.system.locks import release_all
from isoclient.system.modules import os, threading

__all__ = ["BeforeFork", "be_a_child", "settle"]

_NOTHING: Final = threading.local()
_TWINS: Final = ("multiprocessing", "multiprocess")
_NOT_HERE: Final = (
    "this pool of processes belongs to the test's process, of which the app's is a fork: let the app make one of its "
    "own, when it starts or when it needs it first"
)


@dataclass(frozen=True, slots=True)
class BeforeFork:
    """What is to be known of the test's process; made right before the fork.

    Attributes:
        pid: its number.
        random: the state of :mod:`random`.
    """

    pid: int = field(default_factory=os.getpid)
    random: tuple[Any, ...] = field(default_factory=random.getstate)


def settle(before: BeforeFork) -> None:
    """In the fork, before anything else: leave alone what is the test's. Waits for nothing."""
    _keep_all_objects()
    release_all()
    _forget_exit_handlers()
    _forget_threads_to_join()
    _import_anew_what_was_being_imported()
    _forget_event_loops()
    _clear_trios_threads()
    random.setstate(before.random)


def be_a_child(before: BeforeFork, sentinel: int) -> None:
    """Be to multiprocessing, and to its twin multiprocess, what their own children are.

    The hooks that they run for that may do anything, such as talk to a manager: so this comes when all else that
    belongs to a process of its own is in place.

    Args:
        before: what is known of the test's process.
        sentinel: a descriptor that becomes readable when that has died.
    """
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    for package in _TWINS:
        if f"{package}.process" in sys.modules:
            _forget_children(sys.modules[f"{package}.process"], before, sentinel)
        _free_helpers(package)
        if f"{package}.util" in sys.modules:
            _run_hooks(sys.modules[f"{package}.util"])


def _keep_all_objects() -> None:
    """An event loop that the garbage collector closed here would take its registrations out of the epoll instance.

    Both processes share that. So nothing from before the fork is ever collected.
    """
    gc.freeze()


def _forget_exit_handlers() -> None:
    """They remove the temporary directories of the test, and so on. What modules have for their own use stays."""
    atexit._clear()
    # The last comes first: whoever ends the children may log.
    for module, name in (("logging", "shutdown"), *((f"{package}.util", "_exit_function") for package in _TWINS)):
        if (handler := getattr(sys.modules.get(module), name, None)) is not None:
            atexit.register(handler)
    # weakref.finalize registers itself once; what the app makes finalizers for should be cleaned up at its exit.
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]


def _forget_threads_to_join() -> None:
    """At its end an interpreter joins the threads of all pools. Here they are gone, but for one that may have forked.

    That is the main thread now, which can't join itself. The pools go on, as far as they can.
    """
    live: Any = sys.modules["threading"]  # which alone has what has been registered
    threads: Any = sys.modules.get("concurrent.futures.thread")
    processes: Any = sys.modules.get("concurrent.futures.process")
    # Handlers of the test's are among those that are called before the threads are joined, too.
    live._threading_atexits[:] = [module._python_exit for module in (threads, processes) if module is not None]
    if threads is not None:
        _refill_pools(threads._threads_queues)
    if processes is not None:
        _break_pools(processes._threads_wakeups)


def _refill_pools(workers: Any) -> None:
    """A pool that takes the test's threads for its own would wait for ever for one of them to do its work."""
    for thread in list(workers):
        pool = _called(getattr(thread, "_args", ())[:1])
        if pool is not None:
            pool._threads = set()
            pool._idle_semaphore = threading.Semaphore(0)
            pool._work_queue = queue.SimpleQueue()
            pool._shutdown_lock = threading.Lock()
    workers.clear()


def _break_pools(managers: Any) -> None:
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


def _import_anew_what_was_being_imported() -> None:
    """A module that another thread is importing will not become whole here: whoever needs it would wait for ever.

    One that this thread is importing, such as that of a test whose client is used at its top, stays as far as it is.
    """
    bootstrap: Any = importlib._bootstrap
    for name, reference in list(bootstrap._module_locks.items()):
        lock = reference()
        if lock is not None and lock.owner is not None:
            bootstrap._module_locks.pop(name, None)
            if lock.owner != threading.get_ident():
                sys.modules.pop(name, None)


def _forget_event_loops() -> None:
    """A test may run inside an event loop. asyncio knows whose process a loop is of; these know but the thread."""
    for module, name in (
        ("sniffio", "thread_local"),
        ("anyio._core._eventloop", "threadlocals"),
        ("trio._core._run", "GLOBAL_RUN_CONTEXT"),
    ):
        vars(getattr(sys.modules.get(module), name, _NOTHING)).clear()


def _clear_trios_threads() -> None:
    """Trio keeps idle threads for the next one that is needed. Before 0.28 it took them for its own in a fork, too."""
    cache = getattr(sys.modules.get("trio._core._thread_cache"), "THREAD_CACHE", None)
    if cache is not None:
        cache._idle_workers.clear()


def _forget_children(process: Any, before: BeforeFork, sentinel: int) -> None:
    """Have no children, the test's process as the parent, and a name; be no daemon, which may not have children."""
    parent = process._current_process
    process._parent_process = process._ParentProcess(parent.name, before.pid, sentinel)
    process._process_counter = count(1)
    process._children = set()
    process._current_process = own = process.BaseProcess(name="isoclient-app")
    own._parent_pid = before.pid
    own._config.pop("daemon", None)


def _free_helpers(package: str) -> None:
    """The locks of what helps to start children may be held by threads that are not here.

    And a fork server is waited for as a child, which the test's is not.
    """
    for module, name in (("resource_tracker", "_resource_tracker"), ("forkserver", "_forkserver")):
        helper: Any = getattr(sys.modules.get(f"{package}.{module}"), name, None)
        if helper is not None:
            helper._lock._at_fork_reinit()
        if getattr(helper, "_forkserver_pid", None) is not None:
            descriptor = helper._forkserver_alive_fd
            helper._forkserver_pid = helper._forkserver_alive_fd = helper._forkserver_address = None
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _run_hooks(util: Any) -> None:
    """Queues get threads of their own by that, and proxies connections; what was to be done at the end is forgotten."""
    util._finalizer_registry.clear()
    if util._afterfork_registry:
        util._run_after_forkers()
