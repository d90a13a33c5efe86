"""The reading end of the journal: what the app's process told, handed on to who acts upon it here."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable

from isoclient.drive.waiting import Deadline
from isoclient.process.handle import PATIENCE
from isoclient.system.descriptors import Belongings
from isoclient.system.locks import make_lock
from isoclient.system.shared_files import SharedFile
from isoclient.wire.journal import Entry, JournalReader

__all__ = ["JournalFile"]


class JournalFile:
    """The journal of one app, and how far it has been read.

    Args:
        pass_on: called before an entry is acted upon with how much had been printed by then, see :class:`Entry`, and
            the deadline.
        replay: acts upon an entry, given its kind and its payload.
        belongings: what is to own its descriptor.

    Attributes:
        entries: what has been read, and has yet to be acted upon.
    """

    def __init__(
        self,
        pass_on: Callable[[int, int, Deadline], object],
        replay: Callable[[int, bytes], object],
        belongings: Belongings,
    ) -> None:
        self._pass_on = pass_on
        self._replay = replay
        self.file = SharedFile("isoclient-journal", belongings)
        self._reader = JournalReader()
        self.entries: deque[Entry] = deque()
        self._is_busy = False  # also this thread, when what it acts upon an entry by looks for more
        self._lock = make_lock()  # several threads may have waited for the app

    def sync(self, end: int, deadline: Deadline) -> None:
        """Act upon what is new.

        Args:
            end: up to this place in the file.
            deadline: when to leave the rest for the next time; one entry is acted upon all the same.

        Raises:
            BaseException: what a handler of the test's raises, as pytest's does for a record that can't be formatted.
                What comes after is for the next time.
        """
        with self._lock:
            self._is_busy = True
            try:
                while self.entries or self._read(end):
                    if self.entries:
                        entry = self.entries.popleft()
                        self._pass_on(*entry.printed, deadline)
                        self._replay(entry.kind, entry.payload)
                    if deadline.remaining() == 0.0:
                        break
            finally:
                self._is_busy = False

    def sync_unless_busy(self) -> None:
        """The same up to its present end, if there is anything, and if nobody does so just now."""
        has_news = self.entries or self.file.size != self.file.position
        if has_news and not self._is_busy and self._lock.acquire(blocking=False):
            try:
                self.sync(self.file.size, Deadline(PATIENCE))
            finally:
                self._lock.release()

    def _read(self, end: int) -> bool:
        """Read a piece; return whether there was one."""
        piece = self.file.read(end)
        if self.file.left_out:
            self._tell_left_out()
        self.entries.extend(self._reader.feed(piece))
        self.file.give_back()
        return bool(piece)

    def _tell_left_out(self) -> None:
        left_out, self.file.left_out = self.file.left_out, 0
        what = "log records, warnings and calls of mocks"
        text = f"(isoclient: {left_out} bytes of the app's {what} are left out here, it was too much)"
        with contextlib.suppress(ValueError, OSError):
            print(text, file=sys.stderr)

    def sync_at_the_end(self, deadline: Deadline) -> None:
        """The same where nobody can be told of errors, and nobody will look later."""
        end = self.file.size
        while self._has_more(end):
            with contextlib.suppress(Exception):
                self.sync(end, deadline)
            if deadline.remaining() == 0.0:
                break
        self.file.skip_to(end)
        while self.entries:  # which have been read, and are left out all the same
            self.file.left_out += len(self.entries.popleft().payload)
        if self.file.left_out:
            self._tell_left_out()

    def _has_more(self, end: int) -> bool:
        if not self.entries and self.file.position >= end:
            self.entries.extend(self._reader.finish())
        return bool(self.entries) or self.file.position < end
