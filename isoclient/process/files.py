"""Files that the app's process writes and this one reads: without a name, and in memory where the platform can."""

from __future__ import annotations

import contextlib
from typing import Final

from isoclient.link.system import os, tempfile

__all__ = ["Freed", "make_file"]

_WASTE: Final = 4 * 2**20  # bytes that have been read may stay in memory
_PUNCH_HOLE: Final = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE


def make_file(name: str) -> int:
    """A new file without a name in any directory; return its descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    descriptor, path = tempfile.mkstemp(prefix=name)  # pragma: no cover  # not Linux
    os.unlink(path)  # pragma: no cover  # not Linux
    return descriptor  # pragma: no cover  # not Linux


class Freed:
    """How much of such a file has been read and given back, from its beginning on: a long run may print or log a lot.

    Args:
        descriptor: the file.
        keep: so many bytes before what is yet to be read stay, for those who ask for the tail of the file.
    """

    def __init__(self, descriptor: int, keep: int = 0) -> None:
        self._file = _identity(descriptor)
        self._keep = keep
        self._end = 0

    def follow(self, descriptor: int, read: int) -> None:
        """Give back the memory of what has been read, now and then. The file keeps its size, and reads as zeros there.

        Args:
            descriptor: the file.
            read: how much of it has been read, in bytes.
        """
        if read - self._end > _WASTE:
            with contextlib.suppress(OSError, AttributeError):  # it has been closed; or this is not Linux
                self._punch(descriptor, read - self._keep)
            self._end = read - self._keep

    def _punch(self, descriptor: int, end: int) -> None:
        import ctypes  # only in such a run

        # Another thread may close the client meanwhile, and the number belong to a file of the user's at any moment. A
        # duplicate is ours, and shows what it is of.
        ours = os.dup(descriptor)
        try:
            if _identity(ours) == self._file:
                size = ctypes.c_long(end - self._end)
                ctypes.CDLL(None).fallocate(ours, _PUNCH_HOLE, ctypes.c_long(self._end), size)
        finally:
            os.close(ours)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
