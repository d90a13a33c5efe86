"""Objects of multiprocessing that a test's process and an app that is a fork of it have in common, as locks and pools.

The kernel has one of each for both. That both have it is seen by what is behind it: a page of memory, a pipe, or a
process that is older than the app's.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from isoclient.plugin.holders import held_things
from isoclient.system.modules import io, os
from isoclient.transit.classes import class_name

__all__ = ["shared_kernel_objects"]

_PACKAGES: Final = ("multiprocessing", "multiprocess")
_KINDS: Final = {
    "synchronize": frozenset({"Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"}),
    "queues": frozenset({"JoinableQueue", "Queue", "SimpleQueue"}),
    "connection": frozenset({"Connection"}),
    "sharedctypes": frozenset({"Synchronized", "SynchronizedArray", "SynchronizedString"}),
    "shared_memory": frozenset({"ShareableList", "SharedMemory"}),
    "pool": frozenset({"Pool"}),
    "managers": frozenset({"BaseManager", "SharedMemoryManager", "SyncManager"}),
}
_NAMED: Final = "/dev/shm/"  # where locks and shared memory are, also those whose name is gone by now
_PARTS: Final = 2000
_MOST: Final = 5  # that are named


def shared_kernel_objects(pid: int) -> list[str]:
    """Each with the name in a module that leads to it, and what it is.

    Args:
        pid: the app's process.
    """
    theirs = _Traces(pid)
    if not theirs.has_any():
        return []
    found: dict[str, str] = {}
    for thing, holder in held_things():
        kind = _kind_of(type(thing))
        if kind and holder not in found and any(theirs.has(part) for part in _parts_of(thing)):
            found[holder] = f"{holder} ({kind})"
            if len(found) == _MOST:
                break
    return list(found.values())


def _kind_of(cls: type) -> str:
    for base in type.__dict__["__mro__"].__get__(cls):
        module, name = class_name(base)
        package, _, rest = module.partition(".")
        if package in _PACKAGES and name in _KINDS.get(rest, ()):
            return name
    return ""


def _parts_of(thing: object) -> Iterator[object]:
    """It, and what it is made of."""
    waiting, seen = [thing], {id(thing)}
    while waiting and len(seen) < _PARTS:
        part = waiting.pop(0)
        yield part
        if issubclass(type(part), type | ModuleType | FunctionType | MethodType):
            continue
        for inner in gc.get_referents(part):
            if id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)


class _Traces:
    """What tells that a process has something.

    Args:
        pid: its number.
    """

    def __init__(self, pid: int) -> None:
        ours, theirs = list(_mappings("self")), {inode for *_, inode in _mappings(str(pid))}
        self._pages = [(start, end) for start, end, inode in ours if inode in theirs]
        self._files = set(_files(str(pid)))
        self._began = _began(pid)

    def has_any(self) -> bool:
        """Whether there may be something: to look through what modules have would take a while."""
        return bool(self._pages) or any(f"{package}.managers" in sys.modules for package in _PACKAGES)

    def has(self, part: Any) -> bool:
        """Whether what is behind an object of this process is in that one, too."""
        cls = type(part)
        module, name = class_name(cls)
        if name == "SemLock":
            return any(start <= part.handle < end for start, end in self._pages)
        if module.partition(".")[0] not in _PACKAGES:
            return False
        if name == "Connection":
            return not part.closed and _link(f"/proc/self/fd/{part.fileno()}") in self._files
        if name == "SharedMemory":
            return f"/dev/shm/{part.name.lstrip('/')}" in self._files
        if not any(each.__name__ == "BaseProcess" for each in cls.__mro__):
            return False
        try:
            pid = part.pid
        except ValueError:  # it has been closed, and its process is over
            return False
        return pid is not None and 0 < _began(pid) <= self._began


def _mappings(process: str) -> Iterator[tuple[int, int, str]]:
    """The pages that a process shares by a name: where they begin and end, and the file behind them."""
    try:
        with io.open(f"/proc/{process}/maps", encoding="utf-8", errors="replace") as file:
            for line in file:
                pages, rights, _, device, inode, *path = line.split()
                if rights.endswith("s") and path and path[0].startswith(_NAMED):
                    start, _, end = pages.partition("-")
                    yield int(start, 16), int(end, 16), f"{device}:{inode}"
    except OSError:  # there is no such process any more
        return


def _files(process: str) -> Iterator[str]:
    """What its descriptors lead to."""
    try:
        for name in os.listdir(f"/proc/{process}/fd"):
            yield _link(f"/proc/{process}/fd/{name}")
    except OSError:
        return


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _began(pid: int) -> int:
    """When a process began, as the kernel counts; 0 if it is gone."""
    try:
        with io.open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return 0
