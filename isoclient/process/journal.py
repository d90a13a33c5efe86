"""The reading end of the journal: what the app's process told, handed on to who acts upon it here."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from isoclient.link.journal import COVERAGE, LOG, THREAD_EXCEPTION, UNRAISABLE, WARNING, Entry, JournalReader
from isoclient.link.locks import make_lock
from isoclient.link.system import os
from isoclient.process.files import Freed, make_file
from isoclient.process.replay.coverage import merge_coverage
from isoclient.process.replay.logs import replay_record
from isoclient.process.replay.unhandled import replay_thread_exception, replay_unraisable
from isoclient.process.replay.warns import replay_warning

__all__ = ["JournalFile"]

_PIECE: Final = 256 * 1024
_REPLAY: Final[Mapping[int, Callable[[bytes], None]]] = {
    LOG: replay_record,
    WARNING: replay_warning,
    COVERAGE: merge_coverage,
    THREAD_EXCEPTION: replay_thread_exception,
    UNRAISABLE: replay_unraisable,
}


class JournalFile:
    """The journal of one app, and how far it has been read.

    Args:
        pass_on: called before an entry is acted upon with how much had been printed by then; see :class:`Entry`.
    """

    def __init__(self, pass_on: Callable[[int, int], object]) -> None:
        self._pass_on = pass_on
        self.descriptor = make_file("isoclient-journal")
        self._read = 0
        self._freed = Freed(self.descriptor)
        self._reader = JournalReader()
        self._entries: deque[Entry] = deque()
        self._lock = make_lock()  # several threads may have waited for the app

    def sync(self) -> None:
        """Act upon what is new.

        Raises:
            BaseException: what a handler of the test's raises, as pytest's does for a record that can't be formatted.
                What comes after is for the next time.
        """
        with self._lock:
            while piece := self._new():
                self._read += len(piece)
                self._entries.extend(self._reader.feed(piece))
            self._freed.follow(self.descriptor, self._read)
            while self._entries:
                entry = self._entries.popleft()
                self._pass_on(*entry.printed)
                _REPLAY[entry.kind](entry.payload)

    def sync_at_the_end(self) -> None:
        """The same where nobody can be told of errors: the rest is acted upon all the same."""
        done = False
        while not done:
            with contextlib.suppress(Exception):
                self.sync()
                done = True

    def _new(self) -> bytes:
        try:
            return os.pread(self.descriptor, _PIECE, self._read)
        except OSError:  # closed
            return b""

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
