"""Whatever holds one of our locks at a fork, it is free in there."""

from __future__ import annotations

import ast
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

import isoclient
from isoclient.system.locks import make_lock, owned, release

PACKAGE: Final = Path(isoclient.__file__).parent
PLAIN: Final = {
    "system/locks.py": {"RLock"},
    "transit/constructors.py": {"Lock", "RLock"},  # their types, and those of objects that cross, which are the user's
    "compat/python_pools.py": {"Lock", "Semaphore"},  # for others
    # Each wait would be entered in a book. They are renewed in a fork along with their connection.
    "drive/waiting.py": {"Lock"},
    # Its holder is the thread of the app, until that ends. No wait for it is without a deadline, and a fork has none.
    "process/app_thread.py": {"Lock"},
}


@contextmanager
def held_by_another_thread(lock: threading.RLock) -> Iterator[None]:
    held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            may_end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    try:
        yield
    finally:
        may_end.set()
        thread.join(60)


def in_a_fork(ask: Callable[[], bool]) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if ask() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def test_one_that_another_thread_holds() -> None:
    lock = make_lock()
    with held_by_another_thread(lock):
        assert not lock.acquire(blocking=False)
        assert in_a_fork(lambda: lock.acquire(blocking=False))


def test_one_that_the_forking_thread_holds() -> None:
    """It is its own to release, where it comes back to that; but not where all of it is ours."""
    lock = make_lock()

    def is_free() -> bool:
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(lock.acquire(blocking=False)))
        thread.start()
        thread.join(60)
        return found[0]

    def is_free_at_last() -> bool:
        release(held)
        return is_free()

    with lock:
        held = owned()
        assert not in_a_fork(is_free)
        assert in_a_fork(is_free_at_last)
        pid = os.fork()
    assert pid or is_free()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_all_of_ours_are_such() -> None:
    names = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"}
    found: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="threading"), attr=name) | ast.Name(id=name)):
                    if name in names:
                        found.setdefault(str(file.relative_to(PACKAGE)), set()).add(name)
    assert found == PLAIN
