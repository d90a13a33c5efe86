"""What the app prints: into files that the test's process owns, not into pipes.

A pipe that nobody reads would block the app. A file does not, survives the crash of the one who wrote it, and needs no
thread: the test's process reads on from where it was, whenever it has waited for the app.

A file can be written to for ever, too. So whoever passes on knows where to end before it begins, and when; and of what
an app prints faster than that, the newest is kept.
"""

from __future__ import annotations

import codecs
import contextlib
import sys
from typing import Final, TextIO

from isoclient.drive.waiting import Deadline
from isoclient.system.descriptors import Belongings
from isoclient.system.locks import make_lock
from isoclient.system.shared_files import SharedFile

__all__ = ["TAIL", "OutputFile"]

TAIL: Final = 16 * 1024
"""How much of its end a report of the app's death shows, in bytes; more may be gone."""
_NAMES: Final = {"stdout": "standard output", "stderr": "standard error"}


class OutputFile:
    """One stream of the app's output, and how far it has been passed on.

    Args:
        name: for those who look into ``/proc``.
        target: the name of the stream in :mod:`sys` that it is passed on to, as it is then: pytest replaces it for each
            test; None for a file that is only read.
        belongings: what is to own its descriptor.
    """

    def __init__(self, name: str, target: str | None, belongings: Belongings) -> None:
        self.file = SharedFile(name, belongings)
        self._target = target
        self._lock = make_lock()  # several threads may have waited for the app
        self._last = b""  # of what has been passed on, for those who ask for the tail
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def sync(self, end: int, deadline: Deadline) -> None:
        """Pass on what is new.

        Args:
            end: up to this place in the file.
            deadline: when to leave the rest for the next time; one piece is passed on all the same.
        """
        with self._lock:
            while piece := self.file.read(end):
                self._last = (self._last + piece)[-TAIL:]
                self._tell_left_out()
                self._pass_on(self._decode(piece))
                self.file.give_back()
                if deadline.remaining() == 0.0:
                    break

    def sync_at_the_end(self, deadline: Deadline) -> None:
        """Pass on the rest, for nobody will later: where that takes too long, the end of it."""
        with self._lock:
            end = self.file.size
            self.sync(end, deadline)
            self.file.skip_to(end - TAIL)
            self.sync(end, deadline)
            if cut_off := self._decode(b"", final=True):
                self._pass_on(cut_off)

    def _tell_left_out(self) -> None:
        left_out, self.file.left_out = self.file.left_out, 0
        if left_out:
            what = _NAMES.get(self._target or "", "")
            self._pass_on(f"\n(isoclient: {left_out} bytes of the app's {what} are left out here, it was too much)\n")

    def _pass_on(self, text: str) -> None:
        stream: TextIO | None = getattr(sys, self._target) if self._target else None
        if stream is not None:
            with contextlib.suppress(ValueError, OSError):  # at interpreter exit it may be closed
                _write(stream, text)
                stream.flush()

    def tail(self, size: int) -> str:
        """The last so many bytes of it, at most :data:`TAIL` where it is passed on, as text."""
        return (self._last + self.file.unread(size))[-size:].decode("utf-8", "backslashreplace")

    def since(self, start: int) -> str:
        """What has been written from this place on, as text."""
        return self.file.since(start).decode("utf-8", "backslashreplace")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        # In the test's encoding not all can be said. Nothing of a text has been written where something can't be.
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
