"""What one end of the wire knows of the server, whatever the streams are about."""

from __future__ import annotations

from typing import Any

from isoclient.wire.protocol import ENDING, FAILED, LEAVING, READY

__all__ = ["ServerState"]


class ServerState:
    """What the client knows of the server, by what that has said of itself.

    Attributes:
        ready: whether the app is loaded, and the event loop runs.
        failure: why the app could not be loaded, as the codec packs an exception; None if it could, or may yet.
        exiting: whether a call has ended that ends the process of the server with it, so that no other call is to be
            begun, though it has not ended yet.
        ending: whether it has heard that it is to end, and does.
        leaving: whether nothing is left to be done in its process.
    """

    __slots__ = ("ending", "exiting", "failure", "leaving", "ready")

    def __init__(self) -> None:
        self.ready = False
        self.failure: Any = None
        self.exiting = False
        self.ending = False
        self.leaving = False

    def note(self, kind: int, value: object) -> None:
        """Take note of a frame that is of no stream."""
        if kind == READY:
            self.ready = True
        elif kind == FAILED:
            self.failure = value
        elif kind == ENDING:
            self.ending = True
        elif kind == LEAVING:
            self.leaving = True
