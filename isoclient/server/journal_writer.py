"""The writing end of the journal: a file of the test's process that is appended to."""

from __future__ import annotations

import contextlib

from isoclient.server.text_streams import append_to_output, flush_output
from isoclient.system.bounded_files import keep_newest
from isoclient.system.descriptors import identity
from isoclient.system.modules import os
from isoclient.wire.journal import pack

__all__ = ["JournalWriter"]


class JournalWriter:
    """Takes entries, from any thread and at any time.

    Args:
        descriptor: the file, open for appending.
    """

    def __init__(self, descriptor: int) -> None:
        self.move(descriptor)

    def move(self, descriptor: int) -> None:
        """From now on, entries go into another file."""
        self._descriptor = descriptor
        self._sizes = 0, 0
        self._file = identity(os.fstat(descriptor))

    def write(self, kind: int, payload: bytes) -> None:
        """Append an entry, in one write, which nothing comes between. Never raises."""
        flush_output()  # so that what has been printed before it comes before it
        entry = pack(kind, payload, self._printed())
        with contextlib.suppress(OSError):
            # The app may have closed all descriptors, and have opened a file of its own that got this number.
            status = os.fstat(self._descriptor)
            if identity(status) == self._file:
                keep_newest(self._descriptor, status)
                os.write(self._descriptor, entry)

    def _printed(self) -> tuple[int, int]:
        """How much has been printed so far."""
        sizes = _size(1), _size(2)
        if sizes[0] < self._sizes[0] or sizes[1] < self._sizes[1]:
            append_to_output()  # somebody has opened it anew, and truncated it
        self._sizes = sizes
        return sizes


def _size(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_size
    except OSError:  # closed by the app
        return 0
