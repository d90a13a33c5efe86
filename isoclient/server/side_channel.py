"""What the app's process exchanges with the test beside the streams: the context comes in, the journal goes out."""

from __future__ import annotations

from isoclient.mirror.mirrored import Context
from isoclient.mirror.mirrors import ServerMirror
from isoclient.server.journal_writer import JournalWriter
from isoclient.server.text_streams import append_to_output, flush_output
from isoclient.transit.codecs import PipeCodec

__all__ = ["SideChannel"]


class SideChannel:
    """Made once, before the app is loaded: importing the app may log already.

    Args:
        journal: the descriptor of the journal.
        context: what is to be in force from the beginning.
        codec: how exceptions cross.
    """

    def __init__(self, journal: int, context: Context, codec: PipeCodec) -> None:
        self.codec = codec
        self._journal = JournalWriter(journal)
        self._mirror = ServerMirror(context, codec, self._journal.write)
        self.apply = self._mirror.apply
        self.about_to_tell = flush_output

    def app_is_loaded(self) -> None:
        """It has configured logging, most likely, and whatever else it does when it is imported."""
        self._mirror.app_is_loaded()
        append_to_output()

    def move(self, journal: int) -> None:
        """This process goes on as that of another client, whose journal this is."""
        self._journal.move(journal)

    def call_ends(self) -> None:
        """A call of the app has ended, and the test is about to know."""
        for tell in self._mirror.at_call_end:
            tell()
