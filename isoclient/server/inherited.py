"""What a fork of the test's process inherits of the interpreter's own state, and must not keep, or must.

The standard library keeps registries that a fork copies: of threads to be joined, of children, of handlers for the
exit, of event loops that run. They are the test's: by them the app would wait for threads that are not there, end the
test's children, or remove its temporary directories. The other way round, CPython seeds :mod:`random` anew in each
fork, where the app is to draw what the test has seeded.

All of that is known here. How the app's process gets signals, files and a group of its own is the business of
:mod:`isoclient.server.child`.
"""

from __future__ import annotations

import atexit
import gc
import logging
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from isoclient.compat import multiprocessing_
from isoclient.compat.anyio_ import forget_anyio, know_anyio
from isoclient.compat.python_exit import can_end, can_forget_exit_handlers, forget_exit_handlers
from isoclient.compat.python_imports import (
    import_anew_what_was_being_imported,
    is_loaded,
    knows_what_is_being_imported,
)
from isoclient.compat.python_io import can_keep_back
from isoclient.compat.python_pools import know_processes, know_threads, leave_processes_alone, leave_threads_alone
from isoclient.compat.python_threads import can_be_renumbered, renumber_this_thread
from isoclient.compat.trio_ import forget_trio, know_trio
from isoclient.system.locks import owned, release
from isoclient.system.modules import os, threading
from isoclient.system.thread_frames import is_collecting

__all__ = ["BeforeFork", "be_a_child", "settle"]

# What is to be done in the fork, in this order; and whether it can be, and has to.
_TO_DO: Final[tuple[tuple[Callable[[], object], Callable[[], object]], ...]] = (
    (can_forget_exit_handlers, forget_exit_handlers),
    (know_threads, leave_threads_alone),
    (know_processes, leave_processes_alone),
    (knows_what_is_being_imported, import_anew_what_was_being_imported),
    # A test may run inside an event loop. asyncio knows whose process a loop is of; these know but the thread.
    (partial(is_loaded, "sniffio"), lambda: vars(sys.modules["sniffio"].thread_local).clear()),
    (know_anyio, forget_anyio),
    (know_trio, forget_trio),
)


@dataclass(frozen=True, slots=True)
class BeforeFork:
    """What is to be known of the test's process; made right before the fork, with the start lock held.

    Here a warning is heard of what can't be done in the fork. And each function less that runs there is some memory
    less to be copied. What another thread imports between the two has nothing yet that would have to be forgotten.

    Attributes:
        pid: its number.
        random: the state of :mod:`random`.
        to_do: what is to be done in the fork.
        twins: those of multiprocessing that are in use.
        has_number: whether the main thread can be told its new number.
        collects: whether its garbage collector is on.
        locks: those of ours that this thread holds.
    """

    pid: int = field(default_factory=os.getpid)
    random: tuple[Any, ...] = field(default_factory=random.getstate)
    to_do: list[Callable[[], object]] = field(default_factory=lambda: [act for ask, act in _TO_DO if ask()])
    twins: list[multiprocessing_.Twin] = field(default_factory=multiprocessing_.know_twins)
    has_number: bool = field(default_factory=can_be_renumbered)
    collects: bool = field(default_factory=is_collecting)
    locks: list[threading.RLock] = field(default_factory=owned)

    def __post_init__(self) -> None:
        for ask in (can_keep_back, can_end):  # which are asked again there
            ask()


def settle(before: BeforeFork) -> None:
    """In the fork, before anything else: leave alone what is the test's. Waits for nothing."""
    _keep_all_objects(collects=before.collects)
    release(before.locks)
    for act in before.to_do:
        act()
    if forget_exit_handlers in before.to_do:
        # What modules have for their own use stays. The last comes first: whoever ends the children may log.
        for handler in (logging.shutdown, *multiprocessing_.exit_handlers(before.twins)):
            atexit.register(handler)
    random.setstate(before.random)


def be_a_child(before: BeforeFork, sentinel: int) -> None:
    """Be to multiprocessing, and to its twin multiprocess, what their own children are.

    The hooks that they run for that may do anything, such as talk to a manager: so this comes when all else that
    belongs to a process of its own is in place.

    Args:
        before: what is known of the test's process.
        sentinel: a descriptor that becomes readable when that has died.
    """
    if before.has_number:
        renumber_this_thread()
    multiprocessing_.be_a_child(before.twins, before.pid, sentinel)


def _keep_all_objects(*, collects: bool) -> None:
    """An event loop that the garbage collector closed here would take its registrations out of the epoll instance.

    Both processes share that. So nothing from before the fork is ever collected; not until now either, see
    :func:`isoclient.process.launch.fork`.
    """
    gc.freeze()
    if collects:
        gc.enable()
