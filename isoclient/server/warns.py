"""The app's warnings: those that would be shown go into the journal, and are shown in the test's process.

The filters have done their work by then, and are the test's (see :mod:`isoclient.server.context`). It happens below
``showwarning``, because that is what apps replace, as ``logging.captureWarnings(True)`` does; and
``warnings.catch_warnings(record=True)`` puts itself in our place, and takes itself away again.
"""

from __future__ import annotations

import warnings

from isoclient.compat.python_warnings import can_be_shown_by, show_by
from isoclient.server.journal import Journal
from isoclient.transit.records import pack_warning
from isoclient.wire.journal import WARNING

__all__ = ["capture_warnings"]


def capture_warnings(journal: Journal) -> None:
    """From now on, warnings go into the journal."""

    def show(shown: warnings.WarningMessage) -> None:
        message = shown.message
        if not isinstance(message, Warning):
            message = shown.category(message)
        journal.write(WARNING, pack_warning(message, shown.filename, shown.lineno, shown.line))

    # A fork inherits what the test has put there, to record warnings with.
    if can_be_shown_by():
        show_by(show)
