"""The server itself: events in, calls of the app, messages out. It knows no socket and no event loop by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from isoclient.server.calls import Call
from isoclient.server.limits import Limits, limit_hit
from isoclient.transit.anatomy import is_a
from isoclient.transit.codecs import Codec
from isoclient.wire import mux
from isoclient.wire.protocol import (
    CREDIT,
    ENDING,
    EVENT,
    OPEN,
    STOP,
    CallSpec,
    Exited,
    Message,
    Outcome,
    Raised,
    StreamKind,
)

if TYPE_CHECKING:
    from isoclient.server.app import ASGIApp
    from isoclient.server.runtime import Runtime
    from isoclient.server.side_channel import SideChannel

__all__ = ["Server"]

_FLUSH_AT: Final = 64 * 1024  # bytes: more than this does not wait for the loop to become idle


class Server:
    """The calls of the app, on top of the server's end of the wire.

    Args:
        app: the app, in the style of ASGI 3.
        codec: how values cross.
        runtime: the event loop.
        mux: the end of the wire.
        streams: what makes a call of a stream, by its kind.
        live: objects that both sides have, by name.
        limits: those of the process.
        leave: called with an exit code when the app asked to end its process (``sys.exit`` in a handler); None where
            there is no process of its own to end.
        side: what is exchanged with the test beside the streams; None where both are one process.
    """

    grace: float = 1.0
    """How long, in seconds, a call of the app may go on after its client has gone, before it is cancelled.

    One that waits for something of its own has less; see :class:`isoclient.server.leaving.Grace`.
    """

    def __init__(
        self,
        app: ASGIApp,
        codec: Codec,
        runtime: Runtime,
        mux: mux.Mux,
        *,
        streams: Mapping[StreamKind, Callable[[Server, mux.Stream, Any], Call]],
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
        self._streams = streams
        self._leave = leave
        self._limits = limits
        self._side = side
        self.mux = mux
        self._calls: dict[int, Call] = {}  # of the streams that are open, by number
        self._waiting = 0  # bytes of messages since the last flush, about
        self._flush_planned = False
        self._stopping = False

    # -- what comes in

    def take(self, event: mux.Event) -> None:
        """Act on something that the client has said."""
        kind, stream, value = event
        if stream is None:
            self._hear(kind, value)
            return
        if kind == OPEN:
            self._open(stream, value)
        elif (call := self._calls.get(stream.number)) is not None:
            self._pass_on(call, kind, value)
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

    def _open(self, stream: mux.Stream, spec: CallSpec) -> None:
        call = self._streams[spec.kind](self, stream, spec.argument)
        self._calls[stream.number] = call
        if spec.variables is None:
            self.runtime.spawn(call)
        else:
            # A task begins with a copy of the context that it is made in.
            spec.variables.run(self.runtime.spawn, call)

    def stop(self) -> None:
        """End every call of the app, in order: requests and WebSockets first, then lifespan, then the loop."""
        self._stopping = True
        self.mux.tell(ENDING)
        self.flush()
        for call in self._serving() or list(self._calls.values()):
            call.cancel(self.grace)
        self._stop_when_idle()

    def _serving(self) -> list[Call]:
        return [call for call in self._calls.values() if call.kind != "lifespan"]

    def _stop_when_idle(self) -> None:
        if not self._stopping:
            return
        if not self._calls:
            self.runtime.stop()
        elif not self._serving():
            for call in list(self._calls.values()):
                call.cancel()

    # -- what goes out

    def emit(self, stream: mux.Stream, message: Message) -> None:
        """Send a message on a stream, with the next flush."""
        self._waiting += self.mux.send(stream, message)
        if self._waiting >= _FLUSH_AT:
            self.flush()
        else:
            self._plan_flush()

    def grant(self, stream: mux.Stream) -> None:
        """Let the client send more on a stream."""
        self.mux.grant(stream)
        self._plan_flush()

    def end(self, call: Call, outcome: Outcome) -> None:
        """The last word on a stream. It goes out at once, and with it all that waited."""
        if self._calls.pop(call.number, None) is not None:
            if self._side is not None:
                self._side.call_ends()
            call.last_words()
            try:
                self.mux.finish(call.wire, outcome)
            except ValueError as error:  # a result of gigabytes
                self.mux.finish(call.wire, Raised(self.codec.pack_exception(error)))
            self.flush()
            self._stop_when_idle()

    def end_raised(self, call: Call, error: BaseException) -> None:
        """The same, for a call that raised.

        ``SystemExit`` and ``KeyboardInterrupt`` end the app's process too, and so does what comes from its limits.
        """
        limit = limit_hit(self._limits, error)
        if limit is not None:
            from isoclient.server.enforcement import lift_limits

            lift_limits(limit)
        packed = self.codec.pack_exception(error)
        if limit is not None or is_a(error, SystemExit, KeyboardInterrupt):
            code = _exit_code(error)
            self.end(call, Exited(code, packed, limit))
            if self._leave is not None:
                self.disown_calls()
                self._leave(code)
        else:
            self.end(call, Raised(packed))

    def disown_calls(self) -> None:
        """The event loop ends before its time, which cancels all calls. It is no end of theirs: they share this one."""
        self._calls.clear()

    def is_open(self, call: Call) -> bool:
        """Whether a call has not ended yet."""
        return self._calls.get(call.number) is call

    def flush(self) -> None:
        """Write what waits, as far as the pipe takes it now."""
        if self.mux.outbox.parts:
            self._waiting = 0
            if self._side is not None:
                self._side.about_to_tell()
            self.runtime.write()

    def _plan_flush(self) -> None:
        """Flush once what is ready now has run.

        A response is usually whole by then: so the flush finds nothing left to do, and the response was one write, and
        one wake-up on the other side. Planned as soon as a frame has come, it is ready together with the task that the
        frame has woken; planned by the first message of that task, the loop would have to go round once more for it.
        """
        if not self._flush_planned:
            self._flush_planned = True
            self.runtime.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_planned = False
        self.flush()


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
