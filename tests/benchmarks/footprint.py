"""The memory of a run: of a process, and of all that it has started."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["Footprint", "proportional"]

_PAUSE: Final = 0.25


class Footprint:
    """What the processes of a session take together, looked at four times a second.

    To look takes some milliseconds, in which the processes can't change what memory they have: such a run is not timed.

    Attributes:
        megabytes: the most that was seen: the sum of their proportional set sizes, so what they share counts once.
        processes: how many there were then.
    """

    def __init__(self) -> None:
        self.megabytes = 0.0
        self.processes = 0

    @contextmanager
    def watching(self, session: int) -> Iterator[None]:
        """Look, until the block is left."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(session, is_over))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _watch(self, session: int, is_over: threading.Event) -> None:
        while not is_over.wait(_PAUSE):
            sizes = [size for pid in _members(session) if (size := _size(pid))]
            if sum(sizes) > self.megabytes:
                self.megabytes, self.processes = sum(sizes), len(sizes)


def proportional(pid: int | str) -> float:
    """The proportional set size of a process, in megabytes: what it has by itself, and its part of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


def _members(session: int) -> list[int]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if _session_of(pid) == session]


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _size(pid: int) -> float:
    try:
        return proportional(pid)
    except (OSError, LookupError):  # it has ended meanwhile
        return 0.0
