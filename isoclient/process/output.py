"""What the app prints: into files that the test's process owns, not into pipes.

A pipe that nobody reads would block the app. A file does not, survives the crash of the one who wrote it, and needs no
thread: the test's process reads on from where it was, whenever it has waited for the app.
"""

from __future__ import annotations

import codecs
import contextlib
import sys
from typing import Final, TextIO

from isoclient.link.locks import make_lock
from isoclient.link.system import os
from isoclient.process.files import Freed, make_file

__all__ = ["TAIL", "OutputFile"]

TAIL: Final = 16 * 1024
"""How much of its end a report of the app's death shows, in bytes; more may be gone."""
_PIECE: Final = 256 * 1024


class OutputFile:
    """One stream of the app's output, and how far it has been passed on.

    Args:
        name: for those who look into ``/proc``.
        target: the name of the stream in :mod:`sys` that it is passed on to, as it is then: pytest replaces it for each
            test; None for a file that is only read.
    """

    def __init__(self, name: str, target: str | None) -> None:
        self.descriptor = make_file(name)
        self._target = target
        self._passed = 0
        self._freed = Freed(self.descriptor, keep=TAIL)
        self._lock = make_lock()  # several threads may have waited for the app
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def sync(self, end: int = sys.maxsize) -> None:
        """Pass on what is new, up to this place in the file."""
        with self._lock:
            while self._passed < end and (piece := self._new(min(_PIECE, end - self._passed))):
                self._passed += len(piece)
                self._pass_on(piece)
                self._freed.follow(self.descriptor, self._passed)

    def _new(self, size: int) -> bytes:
        try:
            return os.pread(self.descriptor, size, self._passed)
        except OSError:  # closed
            return b""

    def _pass_on(self, piece: bytes) -> None:
        stream: TextIO | None = getattr(sys, self._target) if self._target else None
        if stream is not None:
            with contextlib.suppress(ValueError, OSError):  # at interpreter exit it may be closed
                stream.write(self._decode(piece))
                stream.flush()

    def tail(self, size: int) -> str:
        """The last so many bytes of it, at most :data:`TAIL` where it is passed on, as text."""
        try:
            end = os.fstat(self.descriptor).st_size
            return os.pread(self.descriptor, size, max(0, end - size)).decode("utf-8", "backslashreplace")
        except OSError:
            return ""

    def since(self, start: int) -> str:
        """What has been written from this place on, as text."""
        try:
            return os.pread(self.descriptor, _PIECE, start).decode("utf-8", "backslashreplace")
        except OSError:  # closed
            return ""

    @property
    def size(self) -> int:
        """How much there is by now, in bytes."""
        try:
            return os.fstat(self.descriptor).st_size
        except OSError:  # closed
            return 0

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
