"""A call that somebody else makes of an isolated app: scope and messages pass through, as they are, in both ways.

It runs in the task of whoever has made the call, on whichever event loop that is. The other's ``send`` is awaited
there, and its ``receive`` in a task beside: an app may wait for a message for ever while it sends. The ``receive`` is
called when the app asks for a message, and never before, though that would save a request with a body a round trip: who
has been asked for a piece of a body that nobody reads may mind, as trio does of an async generator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

from isoclient.client.answers import Answer
from isoclient.client.app_copy import AppCopy
from isoclient.client.call import Call, reraise
from isoclient.drive.awaiting import begun, flushed, look_ahead, wait
from isoclient.drive.blocking import BlockingStream
from isoclient.drive.failures import ConnectionLost, DeadlineExceeded, NotReady
from isoclient.drive.side_tasks import Start, beside, is_of_another, shielded
from isoclient.drive.waiting import Deadline
from isoclient.errors import ObjectNotSendable
from isoclient.wire.frames import dumps
from isoclient.wire.protocol import BROKEN, PACKED, WANTED, CallSpec, Cancelled, Message, Returned

__all__ = ["FAILURES", "Receive", "Relay", "Scope", "Send", "call_of", "until_ready"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FAILURES: Final = (ConnectionLost, NotReady, DeadlineExceeded)
"""What can end a wait for the app, as :meth:`Call.fail` takes it."""
_TELLING: Final = 0.3  # seconds that an event loop which is not stuck may take to say where a call is
_ENDING: Final = 3.0  # seconds that an app whose call is cancelled has: its grace, and what it takes to hear of it


class _Patience(Deadline):
    """A deadline that passes only while it is the app's turn.

    Attributes:
        counts: whether it is.
    """

    __slots__ = ("counts",)

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self.counts = True

    def remaining(self) -> float | None:
        return super().remaining() if self.counts else None

    def again(self, *, counts: bool) -> None:
        """From now on, and whether it is the app's turn now."""
        super().__init__(self.seconds)
        self.counts = counts


class Relay:
    """One call.

    Args:
        copy: the app.
        scope: what it is called with.
        receive: likewise.
        send: likewise.
        timeout: how long each wait for the app may take, in seconds; None for no limit.
    """

    def __init__(self, copy: AppCopy, scope: Scope, receive: Receive, send: Send, timeout: float | None) -> None:
        self._copy = copy
        self._codec = copy.handle.connection.codec
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Start = _no_tasks
        self._is_receiving = False
        self._body_ended = False
        self._broken: dict[str, BaseException] = {}  # what the other's functions have raised
        self._answer: Answer | None = None
        self._patience = _Patience(timeout)

    async def run(self) -> None:
        """Make it.

        Raises:
            AppCrashed, AppStartupError, AppTimeout, AppProtocolError: see there.
            ObjectNotSendable: something in the scope can't cross.
            BaseException: the app's own, or what ``receive`` or ``send`` has raised.
        """
        await beside(self._run)

    async def _run(self, start: Start) -> None:
        self._start = start
        call = call_of(self._copy, self._scope)
        if self._scope.get("type") == "http":
            self._answer = self._copy.record.answers.begin(self._scope)
        try:
            await self._relay(call)
            self._note(None)
        except Exception as error:
            self._note(error)
            call.abandon()
            raise
        except GeneratorExit:
            self._note_cancelled()
            call.abandon()  # the event loop is gone, or goes
            raise
        except BaseException:
            self._note_cancelled()
            await self._cancel(call)
            raise

    def _note(self, error: BaseException | None) -> None:
        if self._answer is not None:
            self._answer.end()
            self._answer.raised = None if error is None else type(error).__name__

    def _note_cancelled(self) -> None:
        if self._answer is not None:
            self._answer.end()
            self._answer.is_cancelled = True

    async def _relay(self, call: Call) -> None:
        try:
            await self._forward(call)
        except FAILURES as error:
            call.fail(error)
        outcome = call.stream.outcome
        if isinstance(outcome, Cancelled):
            call.fail(ConnectionLost("the app is being ended", closed_here=True))
        failure = call.failure()
        if isinstance(outcome, Returned) and outcome.value in self._broken:
            raise self._broken[outcome.value]
        if failure is not None:
            reraise(failure)
        if "send" in self._broken:
            raise self._broken["send"]

    # -- from the app

    async def _forward(self, call: Call) -> None:
        connection, stream = call.connection, call.stream
        if not connection.server.ready:
            await until_ready(call)
            self._patience.again(counts=self._patience.counts)
        await begun(connection, self._patience)

        def has_news() -> bool:
            return bool(stream.inbox) or stream.outcome is not None

        while True:
            has_ended = stream.outcome is not None  # first: what had come before the end is in the inbox then
            while stream.inbox:
                message = stream.receive()
                if stream.owes_credit:
                    connection.mux.grant(stream)
                    await flushed(connection, self._patience)
                await self._pass_on(call, message)
            if has_ended:
                self._scope.update(stream.scope)  # with what came behind the last message
                return
            await wait(connection, has_news, self._patience)

    async def _pass_on(self, call: Call, message: Message) -> None:
        if message.get("type") == WANTED:
            self._want(call)
            return
        if call.stream.scope:
            self._scope.update(call.stream.scope)
        if "send" in self._broken:
            return  # which the app has yet to hear of
        if self._scope.get("type") != "http" or message.get("more_body"):
            call.sync_output()  # else that is done at the end, which is near
        if PACKED in message:
            message = self._codec.unpack_debug(message[PACKED])
        if self._answer is not None:
            self._answer.take(message)
        try:
            await self._send(message)
        except BaseException as error:
            if not isinstance(error, Exception) and not is_of_another(error):
                raise
            self._broken["send"] = error
            await self._tell(call, self._failure("send"))
        call.connection.attend()
        self._patience.again(counts=self._patience.counts)

    # -- to the app

    def _want(self, call: Call) -> None:
        if not self._is_receiving:
            self._is_receiving = True
            # The app need not do anything until it has the message; but if only a disconnect is left to come, it must.
            self._patience.again(counts=self._body_ended)
            self._start(partial(self._receive_one, call))

    async def _receive_one(self, call: Call) -> None:
        try:
            message = dict(await self._receive())
            if message.get("type") == "http.request":
                self._body_ended = not message.get("more_body", False)
        except BaseException as error:
            if not isinstance(error, Exception) and not is_of_another(error):
                raise
            self._broken["receive"] = error
            message = self._failure("receive")
        self._is_receiving = False
        self._patience.again(counts=True)
        with contextlib.suppress(*FAILURES):  # which the wait for the app finds, too
            await self._tell(call, message)
            look_ahead(call.connection)

    async def _tell(self, call: Call, message: Message) -> None:
        call.connection.begin_sending()
        try:
            call.connection.mux.send(call.stream, message)
        except (TypeError, ValueError) as error:  # no message at all, or one of gigabytes
            self._broken["receive"] = error
            call.connection.mux.send(call.stream, self._failure("receive"))
        await flushed(call.connection, self._patience)

    def _failure(self, by: str) -> Message:
        return {"type": BROKEN, "by": by, "error": self._codec.pack_exception(self._broken[by])}

    # -- if nobody waits any more

    async def _cancel(self, call: Call) -> None:
        """Let the app know, and wait for its end, so long as it may take.

        Raises:
            BaseException: what the app has raised meanwhile.
        """
        connection, stream = call.connection, call.stream
        deadline = Deadline(_ENDING)
        try:
            async with shielded():
                asked = call.ask_for_whereabouts() if self._answer is not None and stream.outcome is None else None
                connection.mux.cancel(stream)
                await flushed(connection, deadline)
                if asked is not None:
                    await self._note_whereabouts(call, asked)
                await wait(connection, lambda: stream.outcome is not None, deadline)
        except FAILURES:
            call.abandon()
            return
        except BaseException:  # cancelled once more, by somebody who does not want to wait for that either
            call.abandon()
            raise
        if isinstance(stream.outcome, Cancelled):
            call.abandon()
            call.sync_output()  # with what it has done at its end
        elif (error := call.failure()) is not None:
            reraise(error)

    async def _note_whereabouts(self, call: Call, asked: BlockingStream) -> None:
        with contextlib.suppress(DeadlineExceeded):
            await wait(call.connection, lambda: asked.outcome is not None, Deadline(_TELLING))
        if self._answer is not None:
            self._answer.where = call.told_whereabouts(asked)


async def until_ready(call: Call) -> None:
    """Wait until the app has started.

    Raises:
        ConnectionLost, NotReady, DeadlineExceeded: as of :func:`isoclient.drive.awaiting.wait`.
    """
    connection = call.connection
    await wait(connection, lambda: connection.server.ready or connection.server.failure, call.deadline_of_start())


def _no_tasks(func: object) -> None:
    raise RuntimeError("the call has not begun")


def call_of(copy: AppCopy, scope: Scope, messages: tuple[Message, ...] = ()) -> Call:
    """Begin a call of the app.

    Args:
        copy: the app.
        scope: what it is called with. What is in it and is no plain value is sent as the arguments of a call are.
        messages: the first messages, which the app need not ask for.

    Raises:
        ObjectNotSendable: something in the scope can't cross.
    """
    kind: Any = "relayed-lifespan" if scope.get("type") == "lifespan" else "relayed"
    doing = _doing(scope)
    try:
        return copy.relay(CallSpec(kind, (dict(scope), None), messages), doing=doing)
    except TypeError:
        plain, packed = _split(copy, scope)
        return copy.relay(CallSpec(kind, (plain, packed), messages), doing=doing)


def _doing(scope: Scope) -> str:
    kind = scope.get("type")
    what = scope.get("method", "") if kind == "http" else "WebSocket" if kind == "websocket" else kind
    return f"handling {what} {scope.get('path', '')}".rstrip()


def _split(copy: AppCopy, scope: Scope) -> tuple[dict[str, Any], Any]:
    """The scope as plain values, and what else is in it, packed."""
    plain: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, value in scope.items():
        (plain if _is_plain(value) else others)[key] = value
    state = others.pop("state", None)
    if isinstance(state, Mapping):  # the app's process keeps its own, and gets of this what it can get
        plain["state"] = {key: value for key, value in state.items() if _is_plain(value)}
    for key, value in others.items():
        try:
            copy.pack(value)
        except ObjectNotSendable as error:
            raise ObjectNotSendable(f"scope[{key!r}] can't cross to the app's process: {error}") from error.__cause__
    return plain, copy.pack(others)


def _is_plain(value: object) -> bool:
    try:
        dumps(value)
    except TypeError:
        return False
    return True
