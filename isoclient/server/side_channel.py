"""What the app's process exchanges with the test beside the streams: the context comes in, the journal goes out."""

from __future__ import annotations

import contextlib

from isoclient.mirror.mirrored import Context
from isoclient.mirror.mirrors import ServerMirror
from isoclient.server.text_streams import append_to_output, flush_output
from isoclient.system.bounded_files import keep_newest
from isoclient.system.descriptors import identity
from isoclient.system.modules import os
from isoclient.transit.codecs import PipeCodec
from isoclient.wire.journal import pack

__all__ = ["SideChannel"]


class SideChannel:
    """Made once, before the app is loaded: importing the app may log already.

    Args:
        journal: the descriptor of the journal.
        context: what is to be in force from the beginning.
        codec: how exceptions cross.

    Attributes:
        is_of_a_fork: whether this process has the memory of the test's, and so an app that is no import string.
        apply: puts into force what has changed of the context.
        is_of_the_test: whether the test has changed what an object has under this name or key; with None, under any.
        at_call_end: to be called whenever a call of the app has ended, before the test knows.
        before_telling: to be called before anything is said to the test.
        is_live: whether that is to be done now and then while a call is under way, too.
    """

    def __init__(self, journal: int, context: Context, codec: PipeCodec) -> None:
        self.codec = codec
        self.is_of_a_fork = codec.same_main
        self._journal = _JournalWriter(journal)
        self._mirror = ServerMirror(context, codec, self._journal.write)
        self.apply = self._mirror.apply
        self.is_of_the_test = self._mirror.is_of_the_test
        self.at_call_end = self._mirror.at_call_end
        self.is_live = self._mirror.is_live
        self.before_telling = (*self._mirror.before_telling, flush_output)

    def app_is_loaded(self, app: object, *, has_run: bool) -> None:
        """It has configured logging, most likely, and whatever else it does when it is imported.

        Args:
            app: what was loaded.
            has_run: whether something of the user's has run in this process, and may have opened the output anew.
        """
        self._mirror.app = app
        self._mirror.app_is_loaded()
        if has_run:
            append_to_output()

    def move(self, journal: int) -> None:
        """This process goes on as that of another client, whose journal this is."""
        self._journal.move(journal)


class _JournalWriter:
    """The writing end of the journal: takes entries, from any thread and at any time.

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
