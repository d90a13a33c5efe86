"""The host itself: frames in, calls of the app, frames out. It knows no socket and no event loop by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from isoclient.host.streams import STREAMS, LifespanStream, Stream
from isoclient.link import frames
from isoclient.link.anatomy import is_a
from isoclient.link.codec import Codec
from isoclient.link.errors import LinkError
from isoclient.link.frames import Frame
from isoclient.link.limits import Limits, limit_hit
from isoclient.link.outbox import Outbox

if TYPE_CHECKING:
    from isoclient.host.app import ASGIApp
    from isoclient.host.runtime import Runtime
    from isoclient.host.side_channel import SideChannel

__all__ = ["Host"]

_FLUSH_AT: Final = 64 * 1024  # bytes: more than this does not wait for the loop to become idle


class Host:
    """The stream table of the app's side.

    Args:
        app: the app, in the style of ASGI 3.
        codec: how values cross.
        runtime: the event loop.
        outbox: what is to be written.
        live: objects that both sides have, by name.
        limits: those of the process.
        leave: called with an exit code when the app asked to end its process (``sys.exit`` in a handler); None where
            there is no process of its own to end.
        side: what is exchanged with the test beside the streams; None where both are one process.
    """

    grace: float = 1.0
    """How long, in seconds, a call of the app may go on after its client has gone, before it is cancelled.

    One that waits for something of its own has less; see :class:`isoclient.host.leaving.Grace`.
    """

    def __init__(
        self,
        app: ASGIApp,
        codec: Codec,
        runtime: Runtime,
        outbox: Outbox,
        *,
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
        self._leave = leave
        self._limits = limits
        self._side = side
        self._outbox = outbox
        self._streams: dict[int, Stream] = {}
        self._flush_planned = False
        self._stopping = False

    # -- what comes in

    def take(self, frame: Frame) -> None:
        """Act on one frame of the front.

        Raises:
            LinkError: the frame makes no sense.
        """
        if frame.kind == frames.OPEN:
            self._open(frame)
        elif frame.kind == frames.STOP:
            self.stop()
        elif frame.kind == frames.CONTEXT and self._side is not None:
            self._side.apply(self.codec.decode(frame.meta, frame.payload))
        else:
            stream = self._streams.get(frame.stream)
            if stream is not None:
                self._pass_on(stream, frame)
            elif self.codec.by_reference:
                # It has ended, and the frame crossed its end on the way: so that the table does not keep it.
                self.codec.decode(frame.meta, frame.payload)

    def _open(self, frame: Frame) -> None:
        kind, argument, messages, variables = self.codec.decode(frame.meta, frame.payload)
        stream = STREAMS[kind](self, frame.stream, argument)
        for message in messages:
            stream.deliver(message)
        self._streams[frame.stream] = stream
        if variables is None:
            self.runtime.spawn(stream)
        else:
            variables.run(self.runtime.spawn, stream)  # a task begins with a copy of the context that it is made in
        self._plan_flush()

    def _pass_on(self, stream: Stream, frame: Frame) -> None:
        if frame.kind == frames.EVENT:
            stream.deliver(self.codec.decode(frame.meta, frame.payload))
        elif frame.kind == frames.CREDIT:
            stream.grant(self.codec.decode(frame.meta, frame.payload))
        elif frame.kind == frames.CANCEL:
            stream.cancel(self.codec.decode(frame.meta, frame.payload))
        else:
            raise LinkError(f"a host gets no {frame!r}")
        self._plan_flush()

    def stop(self) -> None:
        """End every call of the app, in order: requests and WebSockets first, then lifespan, then the loop."""
        self._stopping = True
        self._put(frames.ENDING, 0, None)
        self.flush()
        for stream in self._serving() or list(self._streams.values()):
            stream.cancel(self.grace)
        self._stop_when_idle()

    def _serving(self) -> list[Stream]:
        return [stream for stream in self._streams.values() if not isinstance(stream, LifespanStream)]

    def _stop_when_idle(self) -> None:
        if not self._stopping:
            return
        if not self._streams:
            self.runtime.stop()
        elif not self._serving():
            for stream in list(self._streams.values()):
                stream.cancel()

    # -- what goes out

    def emit(self, number: int, message: object) -> None:
        """Send a message on a stream, with the next flush."""
        self._put(frames.EVENT, number, message)

    def grant(self, number: int, amount: int) -> None:
        """Let the front send more on a stream."""
        self._put(frames.CREDIT, number, amount)

    def tell_of_scope(self, number: int, news: dict[str, Any]) -> None:
        """Tell the front what has come into the scope of a stream."""
        self._put(frames.SCOPE, number, news)

    def end(self, stream: Stream, outcome: tuple[str, object]) -> None:
        """The last word on a stream. It goes out at once, and with it all that waited."""
        if self._streams.pop(stream.number, None) is not None:
            if self._side is not None:
                self._side.call_ends()
            stream.last_words()
            try:
                self._put(frames.END, stream.number, outcome)
            except ValueError as error:  # a result of gigabytes
                self._put(frames.END, stream.number, ("raised", self.codec.pack_exception(error)))
            self.flush()
            self._stop_when_idle()

    def end_raised(self, stream: Stream, error: BaseException) -> None:
        """The same, for a call that raised.

        ``SystemExit`` and ``KeyboardInterrupt`` end the app's process too, and so does what comes from its limits.
        """
        limit = limit_hit(self._limits, error)
        if limit is not None:
            from isoclient.host.caps import lift_limits

            lift_limits(limit)
        packed = self.codec.pack_exception(error)
        if limit is not None or is_a(error, SystemExit, KeyboardInterrupt):
            code = _exit_code(error)
            self.end(stream, ("exited", (code, packed, limit)))
            if self._leave is not None:
                self.disown_streams()
                self._leave(code)
        else:
            self.end(stream, ("raised", packed))

    def disown_streams(self) -> None:
        """The event loop ends before its time, which cancels all calls. It is no end of theirs: they share this one."""
        self._streams.clear()

    def is_open(self, stream: Stream) -> bool:
        """Whether a stream has not ended yet."""
        return self._streams.get(stream.number) is stream

    def flush(self) -> None:
        """Write what waits, as far as the pipe takes it now."""
        if self._outbox.size:
            if self._side is not None:
                self._side.about_to_tell()
            self.runtime.write()

    def _put(self, kind: int, number: int, value: object) -> None:
        meta, payload = self.codec.encode(value)
        self._outbox.put(frames.pack(kind, number, meta, payload), payload)
        if self._outbox.size >= _FLUSH_AT:
            self.flush()
        else:
            self._plan_flush()

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
