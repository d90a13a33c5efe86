"""What the app's process exchanges with the test beside the streams: the context comes in, the journal goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isoclient.mirror.differences import Context
from isoclient.server.context import in_force
from isoclient.server.journal import Journal
from isoclient.server.logs import capture_logs
from isoclient.server.text_streams import append_to_output, flush_output
from isoclient.server.unhandled import capture_unhandled
from isoclient.server.warns import capture_warnings
from isoclient.system.lift import Patches

if TYPE_CHECKING:
    from isoclient.server.measure import Measurement

__all__ = ["SideChannel"]


class SideChannel:
    """Made once, before the app is loaded: importing the app may log already.

    Args:
        journal: the descriptor of the journal.
        context: the first context.
    """

    def __init__(self, journal: int, context: Context) -> None:
        self._journal = Journal(journal)
        self.apply = in_force.apply
        self.about_to_tell = flush_output
        self._measurement = _measurement(self._journal, *context["coverage"]) if context.get("coverage") else None
        in_force.apply(context)
        capture_warnings(self._journal)
        of_threads, unraisable = context["hooks"]
        capture_unhandled(self._journal, of_threads=of_threads, unraisable=unraisable)
        capture_logs(self._journal, inherited=context.get("inherited"), handled=bool(context.get("handlers")))

    def app_is_loaded(self) -> None:
        """It has configured logging, most likely, and whatever else it does when it is imported."""
        in_force.app_is_loaded()
        append_to_output()

    def move(self, journal: int) -> None:
        """This process goes on as that of another client, whose journal this is."""
        self._journal.move(journal)

    def call_ends(self) -> None:
        """A call of the app has ended, and the test is about to know."""
        if self._measurement is not None:
            self._measurement.tell()


def _measurement(journal: Journal, config: Mapping[str, Any], directory: str) -> Measurement:
    with Patches(files=True):
        from isoclient.server.measure import Measurement

        return Measurement(journal, config, directory)
