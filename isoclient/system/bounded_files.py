"""Files that an app's process may write to without end, while the test does not look: only the newest of them is kept.

Each is in memory, is appended to by many, and is read by the test from its beginning on. What has been read, and what
is too much, is given back to the system as a hole: the file keeps its size, and so what comes after it keeps its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any, Final

from isoclient.system.descriptors import Identity, identity
from isoclient.system.modules import os

__all__ = ["KEPT", "MOST", "append_always", "keep_newest", "punch"]

MOST: Final = 64 * 2**20
"""How many bytes of a file that nobody has read may be in memory."""
KEPT: Final = MOST // 2
"""How many of the newest stay when it is more."""
_PAGE: Final = 4096  # what is given back in whole pages has no zeros before what stays
_BLOCK: Final = 512
_libc: Any = None
_PUNCH_HOLE: Final = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE

_fcntl: Any
try:
    from isoclient.system.modules import fcntl as _fcntl
except ImportError:  # pragma: no cover  # Windows
    _fcntl = None


def keep_newest(descriptor: int, status: os.stat_result) -> None:
    """Called by who writes, now and then: give back the oldest, if the file takes too much. Never raises.

    Args:
        descriptor: the file.
        status: its status now.
    """
    if getattr(status, "st_blocks", 0) * _BLOCK > MOST:
        punch(descriptor, identity(status), 0, (status.st_size - KEPT) & -_PAGE)


def append_always(files: Collection[Identity]) -> None:
    """Have this process append to these files through whatever descriptor it has of them.

    What is opened anew to write to (``FileHandler("/dev/stdout", "w")``) has a place in the file of its own, and would
    write there, over what others have appended meanwhile.
    """
    for name in os.listdir("/proc/self/fd") if _fcntl is not None and os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError):  # that of the listing itself is closed
            if identity(os.fstat(int(name))) in files:
                flags = _fcntl.fcntl(int(name), _fcntl.F_GETFL)
                _fcntl.fcntl(int(name), _fcntl.F_SETFL, flags | os.O_APPEND)


def punch(descriptor: int, file: tuple[int, int], start: int, end: int) -> bool:
    """Give back the memory of a part of a file, which reads as zeros from now on. Never raises.

    Args:
        descriptor: a descriptor that was of the file a moment ago. Another thread may close it meanwhile, and the
            number belong to a file of the user's at any moment. A duplicate is ours, and shows what it is of.
        file: its identity.
        start: where the part begins.
        end: where it ends.

    Returns:
        Whether it does.
    """
    try:
        ours = os.dup(descriptor)
        try:
            return identity(os.fstat(ours)) == file and end > start and _fallocate(ours, start, end - start)
        finally:
            os.close(ours)
    except (OSError, AttributeError, ImportError):  # it has been closed; or this is not Linux
        return False


def _fallocate(descriptor: int, start: int, size: int) -> bool:
    import ctypes  # only in such a run

    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None)
    failed: int = _libc.fallocate(descriptor, _PUNCH_HOLE, ctypes.c_long(start), ctypes.c_long(size))
    return failed == 0
