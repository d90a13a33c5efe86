"""What the client needs of a running app, whether it has a process of its own or a thread of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from isoclient.drive.connection import Connection

__all__ = ["PATIENCE", "AppHandle", "ProcessStatus"]

PATIENCE: Final = 1.0
"""Seconds that it may take to pass on what an app has printed, where a deadline has passed already."""


class ProcessStatus:
    """What there is to tell of an app: whether it runs, or how it ended and what it left to say.

    Args:
        pid: its process.
        exitcode: its exit status, negative for a signal, as in :mod:`subprocess`; None where it runs, or nobody knows.
        stderr: the tail of what it wrote to its standard error.
        stack: what faulthandler wrote: the stacks of its threads in Python, if it died of a signal.
        cause: what ended the event loop, where it is known.
        forced: whether it did not end when it was asked to.

    Attributes:
        asked: whether it was asked to end, and had heard that.
        own_end: what it has called to end so, and where, in words that follow its name; None if nothing is known.
        limit: the name of the limit that it has hit, where it could note that but not tell.
        held_up: what has kept it from ending when it was asked to, in words; empty where that is not known.
        why: where it had to be killed because it could not be reached any more: the reason, in words.
    """

    def __init__(
        self,
        pid: int,
        exitcode: int | None,
        stderr: str,
        stack: str,
        cause: BaseException | None = None,
        *,
        forced: bool = False,
    ) -> None:
        self.pid = pid
        self.exitcode = exitcode
        self.stderr = stderr
        self.stack = stack
        self.cause = cause
        self.forced = forced
        self.asked = False
        self.why: str | None = None
        self.own_end: str | None = None
        self.held_up = ""
        self.limit: str | None = None


class AppHandle(Protocol):
    """A running app."""

    pid: int
    connection: Connection
    force: str
    """What :meth:`kill` does, in words that end a sentence."""
    is_told: bool
    """Whether its user knows of its end: has been told of it, or has asked for it. What is seen is not told by that."""
    shares_locals: bool
    """Whether what the test has made for itself is kept alike in both processes. To be set before the start."""
    start_time: float
    """How long, in seconds, it may take at least to be ready, however short the timeout of its client."""
    lacking: Sequence[str]
    """The threads that did somebody's work here when it was forked, and that are not there."""

    def start(self) -> None:
        """Start it, once, without waiting for it to be ready. If that fails or is interrupted, nothing is left of it.

        Nothing else but :meth:`stop` and :meth:`kill` may be used before.

        Raises:
            OSError: the system refuses what it takes.
        """

    def sync_output(self, seconds: float | None = PATIENCE) -> None:
        """Pass on what the app has printed by now.

        Args:
            seconds: how long that may take; what is left then is for the next time. None for no limit.
        """

    def final_status(self) -> ProcessStatus:
        """How it ended; to be called when the connection is lost. Ends it where it has not ended by itself."""

    def stop(self, *, takes_word: bool = False) -> ProcessStatus | None:
        """End it: in order if it can, by force if it must, within bounds. Idempotent.

        Args:
            takes_word: whether its word that nothing is left to be done is enough. The system may take its process
                apart then while this one goes on, which is to be seen by nothing but its number.

        What it raises comes from a signal handler, or from those who take what the app has told, such as a standard
        stream of the test's. Then the app is ended by force; and if that is interrupted too, the next call goes on.

        Returns:
            How it ended, if that was not in order and has not been told; its ``forced`` tells whether force was needed.
        """

    def limit_reached(self) -> str | None:
        """The name of the limit that it has hit without being able to tell; None if it has hit none."""

    def stack(self) -> str:
        """The stacks of its threads now, or an empty string where they can't be had."""

    def ask_for_stack(self) -> Callable[[], str]:
        """Ask for them now; what is returned waits for them, and returns them. For those who can wait for more."""

    def kill(self) -> None:
        """End it by force, at once; it does not answer. Idempotent; never raises."""

    def status(self) -> ProcessStatus | None:
        """What there is to tell of it, whether it runs or has ended.

        None where it has no process of its own.
        """

    @property
    def abandoned(self) -> bool:
        """Whether this process is a fork of the one that it belongs to, and has nothing to do with it."""
