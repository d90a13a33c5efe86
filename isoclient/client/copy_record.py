"""What is known of one copy of an app: while it lives, and in the report of a failed test afterwards."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from isoclient.client.answers import Answers
from isoclient.drive.blocking import BlockingStream
from isoclient.drive.waiting import Deadline
from isoclient.server.app_names import name_of_app
from isoclient.transit.mock_arguments import Argument, argument_of
from isoclient.transit.shared_mocks import has_none, mocks
from isoclient.wire.protocol import Returned, question

if TYPE_CHECKING:
    from isoclient.drive.connection import Connection
    from isoclient.process.handle import AppHandle

__all__ = ["CopyRecord"]


class CopyRecord:
    """It keeps nothing of the app alive, nor of its client.

    Args:
        handle: its process.
        app: the app, or where it is to be imported from.
        first_test: the number of the test that has used it first, and that test's name; no name outside of tests.
        is_snapshot: whether it began as a copy of this process.
        lasts: how long it lives, in words, if nobody runs its lifespan.
        reach: what calls a function in its process, as a test writes it; empty if a test has nothing that does.
        sharing: what has the test share its memory with the app, in words.

    Attributes:
        answers: the last ones in the present test.
        has_lifespan: whether its lifespan runs, or has run.
        is_entered: whether it runs now.
        looks_for_leaks: whether it can tell what it has left behind.
        ended_for: why it was ended, in words that begin with "its"; empty where nothing but its end was wanted.
        last_look: for :mod:`isoclient.plugin.differences`: an exception, and what was seen when that ended the copy.
    """

    def __init__(
        self,
        handle: AppHandle,
        app: object,
        first_test: tuple[int, str],
        *,
        is_snapshot: bool,
        lasts: str,
        reach: str,
        sharing: str,
        looks_for_leaks: bool,
    ) -> None:
        self.handle = handle
        self.first_test = first_test
        self.is_snapshot = is_snapshot
        self.answers = Answers()
        self.has_lifespan = self.is_entered = False
        self.ended_for = ""
        self.reach = reach
        self.sharing = sharing
        self.looks_for_leaks = looks_for_leaks
        self.last_look: tuple[BaseException | None, list[Any]] = None, []
        self._find_app = _weakly(app)
        self._lasts = lasts

    @property
    def is_there(self) -> bool:
        """Whether it can be asked, as far as is known."""
        connection = getattr(self.handle, "connection", None)
        return connection is not None and not self.handle.abandoned and _answers(connection)

    @property
    def app(self) -> object:
        """The app, or where it is to be imported from; None if it is gone."""
        return self._find_app()

    @property
    def lasts(self) -> str:
        """How long it lives, in words."""
        return "until its client is left, for that runs its lifespan" if self.is_entered else self._lasts

    def lifespan_begins(self) -> None:
        """Its startup is over."""
        self.has_lifespan = self.is_entered = True

    def startup_fails(self, error: BaseException) -> None:
        """Its startup has ended by this, which is to say where it comes from; it is ended for that."""
        self.ended_for = "its startup failed"
        pid = "" if self.handle.status() is None else f" (pid {self.handle.pid})"
        name = "the app" if self.app is None else name_of_app(self.app)
        note = f"in the startup of {name}{pid}"
        if note not in getattr(error, "__notes__", ()):
            with contextlib.suppress(Exception):  # of the error's own
                BaseException.add_note(error, note)

    def lifespan_ends(self) -> None:
        """Nobody runs it any more."""
        self.is_entered = False

    def knows(self, thing: object) -> bool:
        """Whether its process has this object of the test's, from before the fork, as far as that is known."""
        twins = getattr(self._codec, "twins", None)
        return twins is not None and bool(twins.knows(thing))

    def argument_of(self, thing: object) -> Argument | None:
        """What an object is an argument of, as that was when its process called a mock; None for what it has itself."""
        twins = getattr(self._codec, "twins", None)
        is_its_own = twins is not None and (twins.knows(thing) or twins.name_of(thing) is not None)
        return None if is_its_own else argument_of(thing, self.has_mock)

    @property
    def _codec(self) -> object:
        return getattr(getattr(self.handle, "connection", None), "codec", None)

    def has_mock(self, number: int) -> bool:
        """Whether its process has the mock with this number, as far as that is known."""
        has_mock = getattr(self._codec, "has_mock", has_none)
        return number in mocks.sent or bool(has_mock(number))

    def ask(self, what: str, about: object, seconds: float) -> Any:
        """Ask its process a question, and wait for the answer, but so long; None if none comes. Never raises.

        Where it hangs, nobody waits, and where it runs in this process, there is nothing to ask.
        """
        connection = getattr(self.handle, "connection", None)
        if connection is None or connection.codec.by_reference or not self.is_there:
            return None
        deadline, asked = Deadline(seconds), None
        was_interrupted = connection.interrupted
        try:
            asked = BlockingStream(connection, question(what, about), deadline)
            outcome = asked.wait_end(deadline)
        except Exception:  # it has died just now, or it hangs
            if asked is not None:
                asked.abandon()
            return None
        finally:
            connection.interrupted = was_interrupted  # this has nothing to do with that
        return outcome.value if isinstance(outcome, Returned) else None


def _answers(connection: Connection) -> bool:
    server = connection.server
    gone = server.exiting or server.failure or connection.lost or connection.stuck or connection.is_dismissed
    return server.ready and not gone


def _weakly(app: object) -> Callable[[], object]:
    if isinstance(app, str):
        return lambda: app
    try:
        return weakref.ref(app)
    except TypeError:  # of a class with __slots__, for one
        return _gone


def _gone() -> None:
    return None
