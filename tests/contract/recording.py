"""What a library has: recorders that tests make, and apps write to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


class Frozen(dict[str, Any]):
    """One that nobody changes."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("this is for reading")


class Entry:
    """One thing that was recorded; it has a lock, for more may come to it."""

    def __init__(self, path: str, error: Exception | None = None) -> None:
        self.path = path
        self.error = error
        self.times = 1
        self.context = Frozen(path=path)
        self.place = Place(path)
        self._lock = threading.Lock()

    def again(self) -> None:
        with self._lock:
            self.times += 1


class Place:
    __slots__ = ("path", "unset")

    def __init__(self, path: str) -> None:
        self.path = path


LEVELS: dict[str, int] = {}
"""What the module has."""


@dataclass
class Recorder:
    """It keeps the entries, in the order in which they came, and each by its path."""

    entries: list[Any] = field(default_factory=list)
    by_path: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    levels: dict[str, int] = field(default_factory=lambda: LEVELS)
    lock: Any = field(default_factory=threading.RLock)

    def record(self, path: str) -> None:
        with self.lock:
            self.count += 1
            if path in self.by_path:
                self.by_path[path].again()
            else:
                self.entries.append(Entry(path))
                self.by_path[path] = self.entries[-1]
            self.levels[path] = self.count

    def keep(self, thing: object) -> None:
        self.count += 1
        self.entries.append(thing)

    def clear(self) -> None:
        self.__init__(levels=self.levels, lock=self.lock)  # type: ignore[misc]


class Waiting(Recorder):
    """It has something that can't be seen to change, and can wake nobody elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded = threading.Event()


class Owning(Recorder):
    def __del__(self) -> None:
        pass
