"""One call of the app from the client's side: a stream whose failures are told in the user's terms.

What it raises is raised so that a traceback shows the test's line and the app's frames, and not all between: there lie
requests, this package and the border of a process, none of which the reader of a failed test asked about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, ParamSpec, TypeVar

import requests

from isoclient.client.request_errors import AppCrashed, AppStartupError, AppTimeout
from isoclient.drive.blocking import BlockingStream, flush, wait
from isoclient.drive.failures import ConnectionLost, DeadlineExceeded, NotReady
from isoclient.drive.waiting import Deadline
from isoclient.errors import AppProtocolError
from isoclient.process.handle import PATIENCE
from isoclient.process.stacks import spot_in, waiting_in
from isoclient.server.limits import limit_hit
from isoclient.server.own_end import own_end_by
from isoclient.transit.libraries import Spot
from isoclient.wire.protocol import (
    CallSpec,
    Damaged,
    Exited,
    Message,
    Outcome,
    Raised,
    Returned,
    Unfinished,
    question,
)

if TYPE_CHECKING:
    from isoclient.drive.connection import Connection
    from isoclient.process.handle import AppHandle
    from isoclient.server.limits import Limits
    from isoclient.wire.mux import Stream

__all__ = ["Call", "reraise", "shows_app_errors", "without_ours"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ANSWER: Final = 0.3  # seconds that an event loop which is not stuck may take to say so
_BLOCKED: Final = " (a blocking call in an `async def` stops all requests: await something, or call it in a thread)"
_LATE: Final = 0.1  # seconds that a call which was not in time may take to see the disconnect, before it is cancelled


class Call:
    """A call of the app, under way.

    Args:
        handle: the running app.
        spec: what is called, and what with.
        doing: what the app is doing meanwhile, for the texts of errors: "handling GET /".
        timeout: how long each wait may take, in seconds; None for no limit.
        startup: how long the app may take to be ready, if that is longer than the handle grants it anyway, and to end
            when it is cancelled, in seconds; None for no limit.
        request: what in requests' terms is in flight.
        owner: the client, which is not collected, and its app not ended, as long as this call is in use.
        limits: those of the app's process, for the texts of errors.
        waits: whether to wait, blocking, until the pipe has taken it.

    Attributes:
        outlives_timeouts: whether the call goes on after a wait for it was not in time; else it is cancelled then. An
            app whose event loop is stuck is ended either way: nothing can go on there.
    """

    def __init__(
        self,
        handle: AppHandle,
        spec: CallSpec,
        *,
        doing: str,
        timeout: float | None,
        startup: float | None,
        request: Any = None,
        owner: object = None,
        limits: Limits | None = None,
        waits: bool = True,
    ) -> None:
        self.doing = doing
        self.outlives_timeouts = False
        self._owner = owner
        self._limits = limits
        self._handle = handle
        self._startup = startup
        self._timeout = timeout
        self._request = request
        # One that is still starting takes nothing yet, and what is sent may not fit into the pipe.
        deadline = (
            None if not waits else Deadline(timeout) if handle.connection.server.ready else self.deadline_of_start()
        )
        try:
            self._stream = BlockingStream(handle.connection, spec, deadline)
        except (ConnectionLost, DeadlineExceeded) as error:
            self.fail(error)

    @property
    def codec(self) -> Any:
        """How values cross."""
        return self._handle.connection.codec

    @property
    def connection(self) -> Connection:
        """That to the app."""
        return self._handle.connection

    @property
    def stream(self) -> Stream:
        """What it is on the wire."""
        return self._stream.wire

    def limit_waits(self, seconds: float) -> None:
        """From now on no wait takes longer than that."""
        self._timeout = seconds if self._timeout is None else min(self._timeout, seconds)

    @property
    def interrupted(self) -> bool:
        """Whether the last wait for the app was ended by Ctrl-C, or whatever else a signal handler may raise."""
        return self._handle.connection.interrupted

    @property
    def lost(self) -> bool:
        """Whether the app is gone, or another thread closes the client."""
        return self._handle.connection.lost is not None or self._handle.connection.is_dismissed

    @property
    def client_is_closed(self) -> bool:
        """Whether the client has been closed, here or by another thread, which has ended this call or does so now."""
        connection = self._handle.connection
        return connection.is_dismissed or (connection.lost is not None and connection.lost.closed_here)

    @property
    def ended(self) -> bool:
        """Whether the app's call has ended."""
        return self._stream.outcome is not None

    @property
    def scope(self) -> dict[str, Any]:
        """What the app has put into its scope; nothing where that is the one that it was called with here."""
        return self._stream.scope

    def sync_output(self) -> None:
        """Pass on what the app has printed; the end of the call does so too."""
        self._handle.sync_output(None if self._timeout is None else max(self._timeout, PATIENCE))

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message of the app; None when its call has ended.

        Raises:
            AppCrashed, AppStartupError, AppTimeout: see there.
        """
        try:
            if not self._handle.connection.server.ready:
                self._await_ready()
            return self._stream.receive(Deadline(self._timeout if timeout is None else timeout))
        except (ConnectionLost, NotReady, DeadlineExceeded) as error:
            self.fail(error)

    def receive_all(self) -> list[Message]:
        """The next messages of the app, all that are there; none when its call has ended.

        Raises:
            AppCrashed, AppStartupError, AppTimeout: see there.
        """
        try:
            if not self._handle.connection.server.ready:
                self._await_ready()
            return self._stream.receive_all(Deadline(self._timeout))
        except (ConnectionLost, NotReady, DeadlineExceeded) as error:
            self.fail(error)

    def send(self, message: Message, *, hold: bool = False) -> bool:
        """Send a message to the app; False if its call has ended and nobody reads it.

        While the app has no room for it, what it sends is taken in, for it may be waiting for that. With ``hold``, it
        only goes out along with what is sent next: one wake-up of the app less.
        """
        try:
            if not self._handle.connection.server.ready:
                self._await_ready()
            while not self._stream.may_send(Deadline(self._timeout)):
                self._stream.make_room(Deadline(self._timeout))
            return self._stream.send(message, Deadline(self._timeout), hold=hold)
        except (ConnectionLost, NotReady, DeadlineExceeded) as error:
            self.fail(error)

    def cancel(self, *, late: bool = False) -> None:
        """Let the app know that nobody waits any more, and wait until its call has ended.

        Args:
            late: whether it was not in time before, so that it need not be given much time now.
        """
        try:
            # Not the timeout of the request: that is about its response, and may be shorter than the app's grace.
            self._stream.cancel(Deadline(self._startup), _LATE if late else None)
            self._stream.wait_end(Deadline(self._startup))
        except (ConnectionLost, NotReady, DeadlineExceeded) as error:
            self.fail(error)

    def abandon(self) -> None:
        """Let the app know that nobody waits any more, and do not wait for it either."""
        self._stream.abandon()

    def finish(self) -> Any:
        """Wait for the end of the app's call, and return what it returned.

        Raises:
            BaseException: the app's own, or what became of its process.
        """
        error = self.end()
        if error is not None:
            reraise(error)
        return _value_of(self._stream.outcome)

    def end(self) -> BaseException | None:
        """Wait for the end of the app's call; return the app's exception, or its breach of the protocol, or None.

        Raises:
            AppCrashed, AppStartupError, AppTimeout: see there.
        """
        try:
            if not self._handle.connection.server.ready:
                self._await_ready()
            self._stream.wait_end(Deadline(self._timeout))
        except (ConnectionLost, NotReady, DeadlineExceeded) as error:
            self.fail(error)
        return self.failure()

    def failure(self) -> BaseException | None:
        """The same for a call that has ended."""
        outcome = self._stream.outcome
        self.sync_output()
        if isinstance(outcome, Returned):
            return None
        if isinstance(outcome, Raised):
            return self.codec.unpack_exception(outcome.error)  # type: ignore[no-any-return]
        if isinstance(outcome, Unfinished):
            return AppProtocolError(f"{outcome.what} ({self.doing})")
        if isinstance(outcome, Exited):
            self._exited(outcome)
        return outcome.error if isinstance(outcome, Damaged) else None

    def _await_ready(self) -> None:
        connection = self._handle.connection
        wait(connection, lambda: connection.server.ready or connection.server.failure, self.deadline_of_start())

    def deadline_of_start(self) -> Deadline:
        """When the app is to be ready.

        A short timeout is about what the app does: that a process takes its time to start is no fault of the app.
        """
        return Deadline(None if self._startup is None else max(self._startup, self._handle.start_time))

    # -- failures

    def fail(self, error: Exception) -> NoReturn:
        """Raise what is to be told of a wait for the app that has ended so."""
        told = self._explained(error)
        told.__suppress_context__ = True
        reraise(told)

    def _explained(self, error: Exception) -> requests.RequestException:
        told: requests.RequestException
        if isinstance(error, DeadlineExceeded):
            try:
                return self._timed_out(error.seconds)
            except ConnectionLost as lost:
                return self._explained(lost)  # it has died just now
        if isinstance(error, NotReady):
            self._handle.sync_output()
            told = AppStartupError(
                f"the app could not be loaded{self._why_not(error.__cause__)}", request=self._request
            )
        elif isinstance(error, ConnectionLost) and error.closed_here:
            told = requests.ConnectionError(f"the client was closed while {self.doing}", request=self._request)
        else:
            told = self._crashed()
        told.__cause__ = told.__cause__ or error.__cause__
        return told

    def _why_not(self, error: BaseException | None) -> str:
        limit = limit_hit(self._limits, error)
        hit = f", for it hit {self._limits.describe(limit)}" if self._limits is not None and limit is not None else ""
        return f"{hit}: {_in_words(error)}"

    def _crashed(self, limit: str | None = None) -> AppCrashed:
        status = self._handle.final_status()
        status.limit = status.limit or limit
        self._handle.is_told = True
        doing = self.doing if self._handle.connection.server.ready else "being started"
        return AppCrashed.of(status, doing=doing, request=self._request, limits=self._limits)

    def _exited(self, outcome: Exited) -> NoReturn:
        self._handle.is_told = not self.codec.by_reference  # else nothing has ended
        error = self.codec.unpack_exception(outcome.error)
        told = AppCrashed(
            doing=self.doing,
            pid=self._handle.pid,
            exitcode=outcome.code,
            request=self._request,
            limit=outcome.limit,
            limits=self._limits,
            lives=self.codec.by_reference,
            own_end=own_end_by(error),
        )
        told.__cause__ = error
        reraise(told)

    def _timed_out(self, seconds: float | None) -> AppTimeout | AppStartupError | AppCrashed:
        told: AppTimeout | AppStartupError
        limit = self._handle.limit_reached() if self._limits is not None else None
        if limit is not None:
            with contextlib.suppress(Exception):  # of a standard stream of the test's
                self._handle.kill()
            return self._crashed(limit)
        if self._handle.connection.server.ready:
            told, goes_on = self._late(seconds)
        else:
            text = f"the app was not ready within {seconds:g} s\n{self._handle.stack()}"
            told, goes_on = AppStartupError(text, request=self._request), False
        try:
            if goes_on:
                self._handle.sync_output()
            else:
                self._handle.kill()  # which does that too
        except Exception as error:  # of a standard stream of the test's, or a warning that is one there
            told.add_note(f"What the app has said could not be passed on: {error!r}")
        return told

    def _late(self, seconds: float | None) -> tuple[AppTimeout, bool]:
        """What is to be told of an app that was ready, and whether it goes on."""
        text = f"the app sent nothing for {seconds:g} s while {self.doing}"
        # Also where the loop answers: what hangs may be a thread that one of its tasks waits for. It is written while
        # the loop has its time to answer.
        tell_stack = self._handle.ask_for_stack()
        tasks: str | None
        try:
            tasks, where = self._ask_for_tasks()
        except DeadlineExceeded:
            tasks, where = None, None
        stack = tell_stack()
        if tasks is None:
            text += f"; {self._why_silent(stack)}, {self._handle.force}{_advice_on(stack)}"
        elif where:
            text += f"; it waits at {Spot(*where)}"
        text += self._lost_thread(stack, tasks or "")
        return AppTimeout(
            text, seconds=seconds, stack=stack, tasks=tasks or "", request=self._request
        ), tasks is not None

    def _lost_thread(self, stack: str, tasks: str) -> str:
        """What is to be said of an app that waits for a thread which it may lack."""
        lost = self._handle.lacking
        spot = waiting_in(stack, tasks) if lost else None
        if spot is None:
            return ""
        return (
            f"\n\nAt {spot} it waits for another thread, and a fork has none of those that ran in the test's process: "
            f"{', '.join(lost)}. If it waits for the work of one, that is for ever: let the app start its own."
        )

    def _why_silent(self, stack: str) -> str:
        """What is known of an event loop that has not answered."""
        cut_off = self._handle.connection.mux.unfinished()
        if not cut_off:
            spot = spot_in(stack)
            return "its event loop is stuck" + (f" at {spot}" if spot is not None else "")
        # Its stack tells which. Whatever follows is taken for the rest of that message, so an answer can't be seen.
        return (
            f"only {cut_off} have come on the pipe to the test: its event loop is stuck amid it, or something else in "
            "the app's process has written to the pipe"
        )

    def _ask_for_tasks(self) -> tuple[str, Any]:
        """What the tasks are doing, and where this call is; an answer also shows that the loop is not stuck."""
        answer = self._ask("tasks", _ANSWER, self._stream.wire.number)
        if not self.outlives_timeouts:
            self._stream.abandon(_LATE)
        return answer if type(answer) is tuple else ("", None)  # None: it is being ended

    def _ask(self, name: str, seconds: float, about: object = None) -> object:
        deadline, connection = Deadline(seconds), self._handle.connection
        asked = BlockingStream(connection, question(name, about), deadline)
        return _value_of(asked.wait_end(deadline))

    def whereabouts(self) -> str:
        """Where the app is at work for this call, in words, as far as that can be found out soon. Never raises.

        To be asked where the wait for the app was interrupted, before the app hears of that.
        """
        connection, asked = self._handle.connection, None
        was_interrupted = connection.interrupted
        with contextlib.suppress(Exception):
            asked = self.ask_for_whereabouts(deadline := Deadline(_ANSWER))
            asked.wait_end(deadline)
        connection.interrupted = was_interrupted  # the question has nothing to do with that
        return self.told_whereabouts(asked)

    def ask_for_whereabouts(self, deadline: Deadline | None = None) -> BlockingStream:
        """Ask for them, for :meth:`told_whereabouts`; without a deadline, with what is said next.

        Raises:
            ConnectionLost, DeadlineExceeded: as of :class:`BlockingStream`.
        """
        return BlockingStream(self._handle.connection, question("whereabouts", self._stream.wire.number), deadline)

    def told_whereabouts(self, asked: BlockingStream | None) -> str:
        """What has come of that; where nothing has, the loop may be stuck, and its stack says it. Never raises."""
        if asked is not None and isinstance(asked.outcome, Returned):
            return str(Spot(*asked.outcome.value)) if asked.outcome.value else ""
        with contextlib.suppress(Exception):
            if asked is not None:
                asked.abandon()
            return str(spot_in(self._handle.stack()) or "")
        return ""

    def send_if_it_answers(self, message: Message, seconds: float) -> bool:
        """Send a message behind a question, in one go, and wait for the answer; False if none comes for so long.

        An event loop that is stuck is not waited for when it is ended.
        """
        deadline, connection = Deadline(seconds), self._handle.connection
        try:
            asked = BlockingStream(connection, question("ping"), None)
            self._stream.send(message, deadline, hold=True)
            flush(connection, deadline)
            asked.wait_end(deadline)
        except DeadlineExceeded:
            connection.notice_stuck()
        except ConnectionLost:
            pass  # which is told by the next wait
        return not connection.stuck


def _advice_on(stack: str) -> str:
    """What is to be said of an event loop that stands still in somebody's own code."""
    return _BLOCKED if spot_in(stack) is not None else ""


def _value_of(outcome: Outcome | None) -> Any:
    return outcome.value if isinstance(outcome, Returned) else None


def _in_words(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error is not None else "no reason given"


# -- tracebacks


def reraise(error: BaseException) -> NoReturn:
    """Raise an exception that is the app's, or that tells of it.

    Raises:
        BaseException: the error.
    """
    __tracebackhide__ = True  # pytest leaves this frame out
    raise error


def shows_app_errors(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a method that a test calls: what :func:`reraise` raised loses the frames between here and there."""

    @wraps(method)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        __tracebackhide__ = True
        try:
            return method(*args, **kwargs)
        except BaseException as error:
            if (shown := without_ours(error)) is None:
                raise
            reraise(shown)

    return wrapper


def without_ours(error: BaseException) -> BaseException | None:
    """An exception that :func:`reraise` has raised, without the frames between here and there; None for any other.

    To be raised by :func:`reraise`, for one method that shows errors may call another.
    """
    marker = _frame_of_reraise(error.__traceback__)
    return None if marker is None else error.with_traceback(marker.tb_next)


def _frame_of_reraise(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code is not reraise.__code__:
        traceback = traceback.tb_next
    return traceback
