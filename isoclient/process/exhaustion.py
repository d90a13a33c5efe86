"""What has run out in a process that does not answer any more, seen from outside."""

from __future__ import annotations

from typing import Any, Final

from isoclient.link.system import io, os

__all__ = ["has_no_memory_left"]

_LEFT: Final = 4 * 2**20  # bytes: Python takes memory for small objects a mebibyte at a time

_resource: Any
try:
    import resource as _resource
except ImportError:  # pragma: no cover  # Windows
    _resource = None


def has_no_memory_left(pid: int) -> bool:
    """Whether its address space is as large as it may become; False where that can't be seen."""
    try:
        limit, _ = _resource.prlimit(pid, _resource.RLIMIT_AS)
        with io.open(f"/proc/{pid}/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):  # not Linux; or it has ended
        return False
    return bool(limit != _resource.RLIM_INFINITY and used + _LEFT > limit)
