"""The writing end of the journal: a file of the test's process that is appended to."""

from __future__ import annotations

import contextlib

from isoclient.link.journal import pack
from isoclient.link.system import os

__all__ = ["Journal"]


class Journal:
    """Takes entries, from any thread and at any time.

    Args:
        descriptor: the file, open for appending.
    """

    def __init__(self, descriptor: int) -> None:
        self.move(descriptor)

    def move(self, descriptor: int) -> None:
        """From now on, entries go into another file."""
        self._descriptor = descriptor
        self._file = _identity(descriptor)

    def write(self, kind: int, payload: bytes) -> None:
        """Append an entry. Never raises."""
        entry = pack(kind, payload, (_size(1), _size(2)))
        with contextlib.suppress(OSError):
            # The app may have closed all descriptors, and have opened a file of its own that got this number.
            if _identity(self._descriptor) == self._file:
                os.write(self._descriptor, entry)


def _size(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_size
    except OSError:  # closed by the app
        return 0


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
