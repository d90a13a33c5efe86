"""What has run out in a process that does not say so, seen from outside.

A process without memory may not even be able to fail: a thread that could not begin never tells, and whoever starts it
waits for ever. And an app may catch or ignore the signal that is to end it once its processor time is used up. So who
waits for an app with limits looks now and then.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any, Final

from isoclient.server.limits import RESERVE, Limits
from isoclient.system.modules import io, os, signal, time

__all__ = ["Watch", "is_at_work", "processor_time"]

_HUNG: Final = 1.0  # seconds that a process beyond its limit may sleep, and tell nothing
_EVADED: Final = 0.5  # seconds of processor time after which it is clear that the signal has not ended it
_FATAL: Final = re.compile(
    "^(?:Fatal Python error: .*memory"  # amid the raising of another exception, for one
    "|memory allocation of [0-9]+ bytes failed"  # Rust
    "|terminate called after throwing an instance of 'std::bad_alloc')",
    re.MULTILINE | re.IGNORECASE,
)

_resource: Any
try:
    import resource as _resource
except ImportError:  # pragma: no cover  # Windows
    _resource = None


class Watch:
    """Looks at one process.

    Args:
        limits: those of the process.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seen: str | None = None
        self._since = inf  # when it was last seen within its limits, or at work; or first, at all
        self._is_ended = False

    def overrun(self, pid: int) -> str | None:
        """The name of the limit that it is beyond now, and lives on; None if it is within."""
        if self._limits.memory is not None and _is_beyond(pid, _size(pid)):
            return "memory"
        if self._limits.cpu_seconds is not None and processor_time(pid) > self._limits.cpu_seconds:
            return "cpu_seconds"
        return None

    def overrun_once(self, pid: int) -> str | None:
        """The name of the limit that it is beyond now, or has been.

        Where memory has run out in a thread, even the telling of that may want some, and then the thread is gone in
        silence, with what it had: whoever waits for it waits for ever, and the process is within its limit again.
        """
        if self._limits.memory is not None and _is_beyond(pid, _greatest_size(pid)):
            return "memory"
        return self.overrun(pid)

    def is_overdue(self, pid: int, noted: str | None) -> bool:
        """Whether it goes on beyond a limit, or hangs there, and so is to be ended; once.

        Args:
            pid: the process.
            noted: the name of the limit that it says itself to have hit, and is about to tell.
        """
        if self._is_ended:
            return False
        now, self._seen = time.monotonic(), noted or self.overrun(pid)
        if self._seen is None or self._since == inf or is_at_work(pid):  # or gets no processor at the moment
            self._since = now
        has_evaded = self._seen == "cpu_seconds" and processor_time(pid) > (self._limits.cpu_seconds or 0) + _EVADED
        self._is_ended = has_evaded or now - self._since >= _HUNG
        return self._is_ended

    def limit_of_death(self, exitcode: int | None, stderr: str) -> str | None:
        """The name of the limit that it has died of.

        Args:
            exitcode: its exit status, negative for a signal.
            stderr: its last words.
        """
        if exitcode == -signal.SIGKILL:
            return self._seen
        return "memory" if self._limits.memory is not None and _FATAL.search(stderr) else None


def _is_beyond(pid: int, size: int) -> bool:
    """Whether an address space of this size is larger than its limit lets it become; False where that can't be seen."""
    try:
        limit, _ = _resource.prlimit(pid, _resource.RLIMIT_AS)
    except (AttributeError, OSError):  # not Linux; or it has ended
        return False
    return bool(limit != _resource.RLIM_INFINITY and size + RESERVE > limit)


def _size(pid: int) -> int:
    """That of its address space, in bytes; 0 where that can't be seen."""
    try:
        with io.open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return 0


def _greatest_size(pid: int) -> int:
    """The greatest that its address space has had, in bytes; 0 where that can't be seen."""
    try:
        with io.open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmPeak:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0


def is_at_work(pid: int) -> bool:
    """Whether a thread of it runs, or would if it got a processor; False where that can't be seen."""
    try:
        return any(_status(f"/proc/{pid}/task/{thread}/stat")[0] in b"RD" for thread in os.listdir(f"/proc/{pid}/task"))
    except (OSError, IndexError):
        return False


def processor_time(pid: int) -> float:
    """How much it has used, in seconds; 0 where that can't be seen."""
    try:
        user, system = _status(f"/proc/{pid}/stat")[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError):
        return 0.0


def _status(path: str) -> list[bytes]:
    """The fields of a status as /proc has it, from the state on: before that is the name, which may be anything."""
    with io.open(path, "rb", buffering=0) as file:  # for it is asked at the end of each app
        return file.read().rpartition(b")")[2].split()
