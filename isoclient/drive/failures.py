"""What can end a wait for the app; the client tells it in the terms of requests."""

from __future__ import annotations

__all__ = ["ConnectionLost", "CutOff", "DeadlineExceeded", "NotReady", "Reentered"]


class ConnectionLost(Exception):
    """The other side has ended, or what it sends is damaged (then with a cause).

    Args:
        text: what is known of it.
        closed_here: whether it was this side that closed the connection, in order.
    """

    def __init__(self, text: str, *, closed_here: bool = False) -> None:
        super().__init__(text)
        self.closed_here = closed_here

    def again(self) -> ConnectionLost:
        """The same, to be raised: the one that is kept must not keep the frames, and so the client, of a caller."""
        error = ConnectionLost(*self.args, closed_here=self.closed_here)
        error.__cause__ = self.__cause__
        return error


class CutOff(Exception):
    """The test was interrupted amid a message, by this exception in words: itself would keep the frames of the test."""

    def __repr__(self) -> str:
        return str(self)


class DeadlineExceeded(Exception):
    """Nothing came in time."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"nothing came within {seconds:g} s" if seconds is not None else "nothing came")
        self.seconds = seconds


class NotReady(Exception):
    """The server could not load the app; ``__cause__`` is what it raised."""


class Reentered(RuntimeError):
    """A signal handler or a finalizer would wait for the pipe that the very same thread is just reading."""
