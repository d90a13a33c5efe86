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
import gc
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from isoclient.compat import multiprocessing_
from isoclient.compat.anyio_ import forget_anyio, know_anyio
from isoclient.compat.python_exit import can_forget_exit_handlers, forget_exit_handlers
from isoclient.compat.python_imports import (
    import_anew_what_was_being_imported,
    is_loaded,
    knows_what_is_being_imported,
)
from isoclient.compat.python_pools import know_pools, leave_pools_alone
from isoclient.compat.python_threads import can_be_renumbered, renumber_this_thread
from isoclient.compat.trio_ import forget_trio, know_trio
from isoclient.system.locks import release_all
from isoclient.system.modules import os

__all__ = ["BeforeFork", "be_a_child", "settle"]

# Asked before the fork, where a warning is heard.
_KNOWN: Final[tuple[Callable[[], object], ...]] = (
    can_forget_exit_handlers,
    knows_what_is_being_imported,
    can_be_renumbered,
    know_pools,
    know_trio,
    know_anyio,
    multiprocessing_.know_twins,
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

    def __post_init__(self) -> None:
        for ask in _KNOWN:
            ask()


def settle(before: BeforeFork) -> None:
    """In the fork, before anything else: leave alone what is the test's. Waits for nothing."""
    _keep_all_objects()
    release_all()
    _forget_exit_handlers()
    leave_pools_alone()
    if knows_what_is_being_imported():
        import_anew_what_was_being_imported()
    _forget_event_loops()
    random.setstate(before.random)


def be_a_child(before: BeforeFork, sentinel: int) -> None:
    """Be to multiprocessing, and to its twin multiprocess, what their own children are.

    The hooks that they run for that may do anything, such as talk to a manager: so this comes when all else that
    belongs to a process of its own is in place.

    Args:
        before: what is known of the test's process.
        sentinel: a descriptor that becomes readable when that has died.
    """
    if can_be_renumbered():
        renumber_this_thread()
    multiprocessing_.be_a_child(before.pid, sentinel)


def _keep_all_objects() -> None:
    """An event loop that the garbage collector closed here would take its registrations out of the epoll instance.

    Both processes share that. So nothing from before the fork is ever collected.
    """
    gc.freeze()


def _forget_exit_handlers() -> None:
    """They remove the temporary directories of the test, and so on. What modules have for their own use stays."""
    if not can_forget_exit_handlers():
        return
    forget_exit_handlers()
    # The last comes first: whoever ends the children may log.
    if is_loaded("logging"):
        atexit.register(sys.modules["logging"].shutdown)
    for handler in multiprocessing_.exit_handlers():
        atexit.register(handler)


def _forget_event_loops() -> None:
    """A test may run inside an event loop. asyncio knows whose process a loop is of; these know but the thread."""
    if is_loaded("sniffio"):
        vars(sys.modules["sniffio"].thread_local).clear()
    forget_anyio()
    forget_trio()
