"""The server itself: events in, calls of the app, messages out; and what all kinds of calls have in common.

It knows no socket and no event loop by name: those are behind :class:`~isoclient.server.runtime.Runtime`. The two
classes are in one module because each needs the other. What is particular to a kind of call is in
:mod:`isoclient.server.calls`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from isoclient.asgi import Rules
from isoclient.mirror.shared_primitives import PACE
from isoclient.server.app_names import spot_of_app
from isoclient.server.enforcement import lift_limits
from isoclient.server.leaving import is_due_to_disconnect
from isoclient.server.limits import Limits, limit_hit
from isoclient.server.own_end import note_exit, note_what_holds_up
from isoclient.server.scope_changes import added_extension
from isoclient.transit.anatomy import is_a
from isoclient.transit.codecs import Codec
from isoclient.wire.mux import Event, Mux, Stream
from isoclient.wire.protocol import (
    CREDIT,
    ENDING,
    EVENT,
    LIFESPANS,
    OPEN,
    STOP,
    CallKind,
    CallSpec,
    Cancelled,
    Exited,
    Message,
    Outcome,
    Raised,
    Returned,
    Unfinished,
)

if TYPE_CHECKING:
    from isoclient.server.app import ASGIApp
    from isoclient.server.runtime import Runtime
    from isoclient.server.side_channel import SideChannel

__all__ = ["Call", "Server", "type_of"]

_LOOKS: Final = 5
_BETWEEN_LOOKS: Final = 0.005  # seconds
_FLUSH_AT: Final = 64 * 1024  # bytes: more than this does not wait for the loop to become idle


class Server:
    """The calls of the app, on top of the server's end of the wire.

    Args:
        app: the app, in the style of ASGI 3.
        codec: how values cross.
        runtime: the event loop.
        mux: the end of the wire.
        calls: the kinds of calls.
        live: objects that both sides have, by name.
        limits: those of the process.
        leave: called with an exit code when the app asked to end its process (``sys.exit`` in a handler); None where
            there is no process of its own to end.
        side: what is exchanged with the test beside the streams; None where both are one process.
    """

    grace: float = 1.0
    """How long, in seconds, a call of the app may go on after its client has gone, before it is cancelled.

    One that waits for something of its own has less; see :meth:`Call.cancel`.
    """

    startup_is_over: Callable[[], object]
    """To be called when the app says that its startup is complete."""

    tell_leaks: Callable[[Any], Awaitable[object]]
    """Tells what the app has left behind; it is there only if that was asked for as the app was started."""

    def __init__(
        self,
        app: ASGIApp,
        codec: Codec,
        runtime: Runtime,
        mux: Mux,
        *,
        calls: Mapping[CallKind, type[Call]],
        live: Mapping[str, object],
        leave: Callable[[int], object] | None,
        limits: Limits | None = None,
        side: SideChannel | None = None,
    ) -> None:
        self.app = app
        self.codec = codec
        self.runtime = runtime
        self.live = live
        self.state: dict[str, Any] = {}
        self.startup_is_over = _nothing
        self._kinds = calls
        self._leave = leave
        self._limits = limits
        self._side = side
        self.mux = mux
        self._calls: dict[int, Call] = {}  # of the streams that are open, by number
        self._waiting = 0  # bytes of messages since the last flush, about
        self._flush_planned = False
        self._stopping = False
        self._is_looking = self._has_flushed = False

    # -- what comes in

    def take(self, event: Event) -> None:
        """Act on something that the client has said."""
        kind, stream, value = event
        if stream is None:
            self._hear(kind, value)
            return
        if kind == OPEN:
            self._open(stream, value)
        elif (call := self._calls.get(stream.number)) is not None:
            self._pass_on(call, kind, value)
        if not self._flush_planned:
            self._plan_flush()

    def _pass_on(self, call: Call, kind: int, value: Any) -> None:
        if kind == EVENT:
            call.delivered(value)
        elif kind == CREDIT:
            call.granted()
        else:
            call.cancel(value)

    def _hear(self, kind: int, value: Any) -> None:
        if kind == STOP:
            self.stop()
        elif self._side is not None:
            self._side.apply(value)

    def _open(self, stream: Stream, spec: CallSpec) -> None:
        call = self._kinds[spec.kind](self, stream, spec.argument)
        self._calls[stream.number] = call
        if self._side is not None and self._side.is_live and not self._is_looking:
            self._look_again(self._side)  # before it begins, which an eager task does at once
        if spec.variables is None:
            self.runtime.spawn(call)
        else:
            # A task begins with a copy of the context that it is made in.
            spec.variables.run(self.runtime.spawn, call)

    def _look_again(self, side: SideChannel) -> None:
        """Tell now and then what the app does with what it shares with the test, which may wait for that.

        All that was done before a message has been told with it. What comes after it waits for the look after the next
        one, so that the test has the message by then.
        """
        self._is_looking = bool(self._calls)
        if self._is_looking:
            if not self._has_flushed:
                for tell in side.before_telling:
                    tell()
            self._has_flushed = False
            self.runtime.call_later(PACE / 1000, partial(self._look_again, side))

    def stop(self) -> None:
        """End every call of the app, in order: requests and WebSockets first, then lifespan, then the loop."""
        self._stopping = True
        if self._side is not None:
            note_what_holds_up()  # the end of the loop may wait for threads already
        self.mux.tell(ENDING)
        self.flush()
        for call in self._serving() or list(self._calls.values()):
            call.cancel(self.grace)
        self._stop_when_idle()

    def _serving(self) -> list[Call]:
        return [call for call in self._calls.values() if call.kind not in LIFESPANS]

    def _stop_when_idle(self) -> None:
        if not self._calls:
            self.runtime.stop()
        elif not self._serving():
            for call in list(self._calls.values()):
                call.cancel()

    # -- what goes out

    def emit(self, stream: Stream, message: Message, *, hold: bool = False) -> None:
        """Send a message on a stream, with the next flush; but at once, if the test may hear of what comes after it.

        Args:
            stream: the stream.
            message: the message.
            hold: whether it may be the last one, and go out with the end of the stream; see :meth:`Mux.hold`.
        """
        self._waiting += (self.mux.hold if hold else self.mux.send)(stream, message)
        if self._waiting >= _FLUSH_AT or self._is_looking:
            self.flush()
        elif not self._flush_planned:
            self._plan_flush()

    def grant(self, stream: Stream) -> None:
        """Let the client send more on a stream."""
        self.mux.grant(stream)
        if not self._flush_planned:
            self._plan_flush()

    def end(self, call: Call, outcome: Outcome) -> None:
        """The last word on a stream. It goes out at once, and with it all that waited."""
        if self._calls.pop(call.number, None) is not None:
            if self._side is not None:
                for tell in self._side.at_call_end:
                    tell()
            call.last_words()
            try:
                self.mux.finish(call.stream, outcome)
            except ValueError as error:  # a result of gigabytes
                self.mux.finish(call.stream, Raised(self.codec.pack_exception(error)))
            self.flush()
            if self._stopping:
                self._stop_when_idle()

    def end_raised(self, call: Call, error: BaseException) -> None:
        """The same, for a call that raised.

        ``SystemExit`` and ``KeyboardInterrupt`` end the app's process too, and so does what comes from its limits.
        """
        limit = limit_hit(self._limits, error) if self._limits is not None else None
        if limit is not None:
            lift_limits(limit)
        packed = self.codec.pack_exception(error)
        if limit is not None or is_a(error, SystemExit, KeyboardInterrupt):
            code = _exit_code(error)
            if limit is None:
                note_exit(error, code)
            self.end(call, Exited(code, packed, limit))
            if self._leave is not None:
                self.disown_calls()
                self._leave(code)
        else:
            self.end(call, Raised(packed))

    def disown_calls(self) -> None:
        """The event loop ends before its time, which cancels all calls. It is no end of theirs: they share this one."""
        self._calls.clear()

    def open_calls(self) -> dict[int, CallKind]:
        """The kinds of the calls that have not ended yet, by number."""
        return {number: call.kind for number, call in self._calls.items()}

    def is_open(self, call: Call) -> bool:
        """Whether a call has not ended yet."""
        return self._calls.get(call.number) is call

    def flush(self) -> None:
        """Write what waits, as far as the pipe takes it now."""
        self.mux.release()
        if self.mux.outbox.parts:
            self._waiting = 0
            self._has_flushed = True
            if self._side is not None:
                for tell in self._side.before_telling:
                    tell()
            self.runtime.write()

    def _plan_flush(self) -> None:
        """Flush once what is ready now has run.

        A response is usually whole by then: so the flush finds nothing left to do, and the response was one write, and
        one wake-up on the other side. Planned as soon as a frame has come, it is ready together with the task that the
        frame has woken; planned by the first message of that task, the loop would have to go round once more for it.
        """
        self._flush_planned = True
        self.runtime.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_planned = False
        if self._is_looking:
            self.runtime.write()  # of credit alone: a message has gone out at once, with what was done before it
        else:
            self.flush()


class Call:
    """One call of the app, which a stream of the wire is about: how the app is called, and what its end means.

    It is driven from two sides. What the client says comes in (:meth:`delivered`, :meth:`granted`, :meth:`cancel`); the
    app awaits ``receive`` and ``send``. Both happen on the event loop, so nothing here needs a lock.

    Args:
        server: the server.
        stream: the stream.
        argument: what it was opened with.

    Attributes:
        name: what it is a call of, in the name of its task.
        abort: cancels the task that it runs in; set by who has made that.
        gone: the client waits no more.
        informed: and the app knows it, by what it received or by its send.
    """

    kind: ClassVar[CallKind]
    spec_version: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, server: Server, stream: Stream, argument: Any) -> None:
        self.server = server
        self.stream = stream
        self.number = stream.number
        self.name: str = self.kind
        self.argument = argument
        self.abort: Callable[[], object] = _nothing
        self.gone = False
        self.informed = False
        self._owes = True  # the app has something of the client's in its hands that it has not answered
        self._signal = server.runtime.signal()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of stream {self.number}>"  # a failure shows what the app's send is a method of

    async def call(self) -> object:
        """Call the app. What it returns or raises is the end of the stream."""
        raise NotImplementedError  # each kind has its own

    def delivered(self, message: Message) -> None:
        """A message for the app has come, and is in the inbox."""
        self._signal.set()

    def granted(self) -> None:
        """The client has consumed, so that more may be sent."""
        self._signal.set()

    def cancel(self, grace: float | None = None) -> None:
        """The client is gone: the app sees a disconnect, and may go on for a while before its task is cancelled.

        An app that works on what the client has sent, or knows that it has left and cleans up, has the whole time. One
        that has answered all and waits for something of its own, such as the next item of a queue, would only wait it
        out, for nothing tells it to end. So it has a moment, in which it may come back to its ``receive``. The moment
        is counted in looks, with the event loop going round in between: it does not pass while the process gets no
        processor.
        """
        if not self.gone:
            self.gone = True
            self._signal.set()
            self.server.runtime.call_later(self.server.grace if grace is None else grace, self._abort_if_open)
            self._look_again(_LOOKS)

    def _look_again(self, left: int) -> None:
        """Grant the moment, in looks, that is enough for an app which waits for something of its own."""
        if left == 0:
            self._abort_if_open()
        elif not self.informed:
            self.server.runtime.call_later(_BETWEEN_LOOKS, lambda: self._look(left))

    def _look(self, left: int) -> None:
        if self.server.is_open(self):
            self._look_again(left - 1 if self.waits_for_its_own else _LOOKS)

    def _abort_if_open(self) -> None:
        if self.server.is_open(self):
            self.abort()

    @property
    def waits_for_its_own(self) -> bool:
        """Whether the app has answered all there is, and does not receive either."""
        return not (self._owes or self.informed)

    def returned(self, value: object) -> None:
        """The app's call has returned."""
        unfinished = None if self.gone else self.unfinished()
        if unfinished is None:
            self.server.end(self, Returned())
        else:
            spot = spot_of_app(self.server.live.get("app"), self.argument)
            self.server.end(self, Unfinished(unfinished if spot is None else f"{unfinished}, from {spot}"))

    @property
    def client_left(self) -> bool:
        """Whether nobody reads any more what the app sends."""
        return self.gone

    def raised(self, error: BaseException) -> None:
        """The app's call has raised."""
        if self.client_left and is_due_to_disconnect(error):
            self.server.end(self, Returned())
        else:
            self.server.end_raised(self, error)

    def cancelled(self) -> None:
        """The app's call was cancelled, by us."""
        self.server.end(self, Cancelled())

    def unfinished(self) -> str | None:
        """What the app still owed when it returned, in words; None if nothing."""
        return None

    def _is_of_another(self, message: Message, rules: Rules) -> bool:
        """Whether a message that the rules do not have is of an extension that is not ours, but in the scope."""
        kind = type_of(message)
        return not rules.knows(kind) and added_extension(kind, self.argument, self.extensions) is not None

    def last_words(self) -> None:
        """The stream is about to end: what is to go out before that."""

    def _emit(self, message: Message) -> None:
        self.server.emit(self.stream, message)

    async def _wait_for_window(self) -> None:
        while not self.stream.may_send and not self.client_left:
            self.server.flush()
            await self._signal.wait()

    def _take(self) -> Message:
        message = self.stream.receive()
        if self.stream.owes_credit:
            self.server.grant(self.stream)
        return message

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = self.argument  # no copy: in-process, the test sees what the app puts there
        scope["asgi"] = {"version": "3.0", "spec_version": self.spec_version}
        scope["extensions"] = {name: {} for name in self.extensions}
        scope["state"] = self.server.state.copy()
        return scope


def type_of(message: object) -> str:
    """The type of a message that may be anything; empty if it has none."""
    kind = message.get("type") if isinstance(message, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _nothing() -> None:
    pass


def _exit_code(error: BaseException) -> int:
    """The exit status that Python itself would give."""
    if is_a(error, KeyboardInterrupt):
        return 130
    if not is_a(error, SystemExit):
        return 1
    code = vars(SystemExit)["code"].__get__(error)
    if code is None:
        return 0
    return int.__and__(code, 0xFF) if issubclass(type(code), int) else 1
