"""The multiplexer: the streams that share one pipe, as either end sees them.

Bytes go in, and what they say comes out as events; what is to be said goes into the outbox. A driver does all else: it
moves bytes between the pipe and this, waits, has deadlines, and calls apps::

    count = sock.recv_into(mux.get_buffer())
    for event in mux.buffer_updated(count):
        ...
    mux.send(stream, message)
    write(mux.outbox)

Both ends are this one class, for nearly all is the same on both: a stream has an inbox, two windows of credit and an
outcome. What the role decides is who begins streams and who ends them, and is a table (``SENT_BY`` of the protocol).

It has no locks, and needs none, though the client is used by several threads, by signal handlers and by finalizers:

- One thread at a time feeds, and one at a time takes from the outbox. Both may be different ones each time.
- To begin a stream, to send, grant, cancel and so on is for any thread at any moment, for each puts its frame into the
  outbox in one step. The order of what is said on one stream is up to whoever uses the stream.
- Each part of a stream has one writer. Only who feeds adds to the inbox, and sets the outcome. Where several threads
  receive on one stream, they agree among themselves (by a lock of the driver's).

So nothing is returned that must be written by whoever asked for it, as h11 has it: a finalizer that may not wait leaves
its frame in the outbox, and whoever writes next takes it along.

Flow control says how much may be under way on one stream in one direction. The receiver grants credit, the sender
spends it. A message may be sent while *any* credit is left, so one message of any size passes, and what can be under
way is bounded by the window and one message. Like HTTP/2's windows (RFC 9113, 5.2), but a message also has a fixed
cost, so that endless empty messages are held back too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Any, Final, TypeAlias

from isoclient.wire.frames import Frame, FrameReader, Outbox, ReferenceCodec, ValueCodec, describe, pack
from isoclient.wire.protocol import (
    CANCEL,
    CREDIT,
    END,
    EVENT,
    KINDS,
    NAMES,
    OPEN,
    OUTCOMES,
    SCOPE,
    SENT_BY,
    CallKind,
    CallSpec,
    Damaged,
    Exited,
    Message,
    Outcome,
    Role,
    WireError,
)
from isoclient.wire.server_state import ServerState

__all__ = ["GRANT_AT", "WINDOW", "Event", "Mux", "Stream", "weight"]

WINDOW: Final = 4 * 1024 * 1024
"""The credit that each direction of a stream begins with, in bytes."""

GRANT_AT: Final = WINDOW // 2
"""Grants are saved up to this, in bytes, so that a small exchange needs none."""

_OVERHEAD: Final = 256
_HELD: Final = _OVERHEAD + 2048  # from here on, in units of credit, to copy a message costs more than a frame for it


def weight(message: Mapping[str, Any]) -> int:
    """What a message costs, in bytes.

    Example:
        >>> weight({"type": "http.request", "body": b"x" * 1000, "more_body": False})
        1256
    """
    content = message.get("body") or message.get("bytes") or message.get("text")
    return _OVERHEAD + len(content) if content else _OVERHEAD


class Stream:
    """One call of the app, under way or ended.

    Attributes:
        number: which it is on its pipe.
        kind: what is called.
        inbox: the messages that have come and were not received yet.
        outcome: how it has ended, once it has; there may be messages in the inbox still.
        scope: what the app has told that it has put into its scope.
        spent: what has been sent, in units of credit; one thread may send while another one takes what is granted, so
            these are two counters.
        granted: what may be sent.
        consumed: what was received and not yet granted again.
        held: what was sent and may go out with the end; see :meth:`Mux.hold`.
    """

    __slots__ = ("_ahead", "consumed", "granted", "held", "inbox", "kind", "number", "outcome", "scope", "spent")

    def __init__(self, number: int, kind: CallKind, messages: tuple[Message, ...] = ()) -> None:
        self.number = number
        self.kind = kind
        self.inbox: deque[Message] = deque(messages)
        self.outcome: Outcome | None = None
        self.held: tuple[Message, ...] = ()
        self.scope: dict[str, Any] = {}
        self._ahead = 0  # how many messages in the inbox, from its head, count as received already
        self.spent = 0
        self.granted = WINDOW
        self.consumed = 0

    def __repr__(self) -> str:
        state = "open" if self.outcome is None else repr(self.outcome)
        return f"<Stream {self.number} {self.kind} {state}, {len(self.inbox)} in the inbox>"

    @property
    def may_send(self) -> bool:
        """Whether there is credit left to send a message."""
        return self.granted > self.spent

    def receive(self) -> Message:
        """The next message of the inbox; it is there to be looked for first."""
        message = self.inbox.popleft()
        if self._ahead:
            self._ahead -= 1
        else:
            self.consumed += weight(message)
        return message

    @property
    def has_unreceived(self) -> bool:
        """Whether there is something in the inbox that does not count as received."""
        return len(self.inbox) > self._ahead

    def count_as_received(self) -> None:
        """Count all that is in the inbox as received already, so that the other side may go on."""
        fresh = list(self.inbox)[self._ahead :]  # a copy, for who feeds may add to it at any moment
        for message in fresh:
            self.consumed += weight(message)
        self._ahead += len(fresh)

    @property
    def owes_credit(self) -> bool:
        """Whether so much was received that it is time for :meth:`Mux.grant`."""
        return self.consumed >= GRANT_AT and self.outcome is None


Event: TypeAlias = tuple[int, Stream | None, Any]
"""Something that the other side has said: the kind of its frame, the stream that it was said on, None for none, and
what was said, by the kind: for an OPEN frame the :class:`CallSpec`, for END the outcome, and so on.

A bare tuple, for there is one for each frame.
"""


class Mux:
    """One end of the wire.

    Args:
        role: which end.
        codec: how values cross.

    Attributes:
        role: which end.
        outbox: what waits to be written.
        streams: those that are open, by number.
        server: what the other end has said of itself; for the client.
        get_buffer: as of the :class:`~isoclient.wire.frames.FrameReader`: returns where the next bytes belong.
        check: likewise: raises the error of damage that was found behind the last events.
        unfinished: likewise: tells how much has come of a frame that is not whole yet.

    Example:
        >>> from isoclient.wire.frames import ValueCodec
        >>> from isoclient.wire.protocol import Returned
        >>> client, server = Mux("client", ValueCodec()), Mux("server", ValueCodec())
        >>> ours = client.open(CallSpec("http", {"path": "/"}))
        >>> [(_, theirs, spec)] = server.feed(client.data_to_send())
        >>> spec.argument
        {'path': '/'}
        >>> server.finish(theirs, Returned())
        >>> [(_, stream, outcome)] = client.feed(server.data_to_send())
        >>> stream is ours, outcome
        (True, Returned(value=None, tag='returned'))
    """

    __slots__ = (
        "_codec",
        "_decode",
        "_encode",
        "_holding",
        "_numbers",
        "_reader",
        "_sends",
        "_takes",
        "check",
        "get_buffer",
        "outbox",
        "role",
        "server",
        "streams",
        "unfinished",
    )

    def __init__(self, role: Role, codec: ValueCodec | ReferenceCodec) -> None:
        self.role = role
        self.outbox = Outbox()
        self.streams: dict[int, Stream] = {}
        self.server = ServerState()
        self._codec = codec
        self._encode = codec.encode
        self._decode = codec.decode
        self._reader = FrameReader()
        self.get_buffer = self._reader.get_buffer
        self.check = self._reader.check
        self.unfinished = self._reader.unfinished
        self._holding: Stream | None = None
        self._numbers = count(1)
        self._sends = SENT_BY[role]
        self._takes = SENT_BY["server" if role == "client" else "client"]

    # -- what goes out

    def stream(self, kind: CallKind) -> Stream:
        """A stream that is yet to be begun, by :meth:`open`; for the client."""
        return Stream(next(self._numbers), kind)

    def open(self, spec: CallSpec, stream: Stream | None = None) -> Stream:
        """Begin a stream; for the client.

        Args:
            spec: what is called.
            stream: the stream, for who has to know it whatever interrupts this; None for a new one.

        Raises:
            TypeError, ValueError: the spec can't cross; nothing is said.
        """
        if stream is None:
            stream = self.stream(spec.kind)
        if self.role != "client":
            raise ValueError(f"a {self.role} sends no OPEN on stream {stream.number}")
        for message in spec.messages:
            stream.spent += weight(message)
        meta, payload = self._encode(tuple(spec))
        self.streams[stream.number] = stream  # first, for another thread may write it and read the answer
        self.outbox.put(pack(OPEN, stream.number, meta, payload), payload)
        return stream

    def send(self, stream: Stream, message: Message) -> int:
        """Send a message, whether there is credit left or not: to look first is up to the caller.

        Returns:
            What it weighs; 0 if the stream has ended, and nothing was sent.

        Raises:
            TypeError, ValueError: it can't cross.
        """
        if stream.outcome is not None:
            return 0
        if self._holding is stream:
            self.release()
        cost = weight(message)
        meta, payload = self._encode(message)
        self.outbox.put(pack(EVENT, stream.number, meta, payload), payload)
        stream.spent += cost
        return cost

    def hold(self, stream: Stream, message: Message) -> int:
        """Send a message that may go out in one frame with the end of its stream; for the server.

        It waits for :meth:`finish`, for :meth:`release`, or for what is sent next and is of another stream, or not to
        be held; and is not to be changed meanwhile. Most responses are whole when the app returns, and three frames are
        twice the work of one, on both sides. For one thread alone.

        Returns:
            As :meth:`send` does.
        """
        if stream.outcome is not None:
            return 0
        cost = weight(message)
        if self._holding is not stream or cost >= _HELD:
            self.release()
        if cost >= _HELD:
            return self.send(stream, message)
        self._holding = stream
        stream.held += (message,)
        stream.spent += cost
        return cost

    def release(self) -> None:
        """Put what is held into the outbox.

        Raises:
            TypeError, ValueError: it can't cross.
        """
        stream = self._holding
        if stream is not None:
            self._holding, held, stream.held = None, stream.held, ()
            for message in held:
                meta, payload = self._encode(message)
                self.outbox.put(pack(EVENT, stream.number, meta, payload), payload)

    def grant(self, stream: Stream) -> None:
        """Let the other side send as much again as was received since the last time."""
        amount, stream.consumed = stream.consumed, 0
        if amount and stream.outcome is None:
            self._put(CREDIT, stream.number, amount)

    def cancel(self, stream: Stream, grace: float | None = None) -> None:
        """Nobody waits for a stream any more; for the client.

        Args:
            stream: the stream. It goes on until the other side has ended it, or it is forgotten.
            grace: how long, in seconds, the app may go on before it is cancelled; None for what is usual.
        """
        if stream.outcome is None:
            self._put(CANCEL, stream.number, grace)

    def forget(self, stream: Stream) -> None:
        """What still comes on a stream is dropped."""
        self.streams.pop(stream.number, None)

    def tell_of_scope(self, stream: Stream, news: dict[str, Any]) -> None:
        """Tell what has come into the scope of a stream; for the server."""
        if stream.outcome is None:
            self._put(SCOPE, stream.number, news)

    def finish(self, stream: Stream, outcome: Outcome) -> None:
        """End a stream; for the server. Nothing can be sent on it any more.

        Raises:
            TypeError, ValueError: the outcome can't cross; the stream goes on.
        """
        if stream.outcome is None:
            self._put(END, stream.number, (tuple(outcome), stream.held))
            if stream.held:
                self._holding, stream.held = None, ()
            self._end(stream, outcome)

    def tell(self, kind: int, value: object = None) -> None:
        """Say something that is of no stream: STOP, CONTEXT, READY and so on."""
        self._put(kind, 0, value)

    def _put(self, kind: int, number: int, value: object) -> None:
        if kind not in self._sends[number == 0]:
            raise ValueError(f"a {self.role} sends no {NAMES[kind]} on {f'stream {number}' if number else 'no stream'}")
        meta, payload = self._encode(value)
        self.outbox.put(pack(kind, number, meta, payload), payload)

    def data_to_send(self) -> bytes:
        """All that waits in the outbox, and take it from there: for drivers that write all at once."""
        data = b""
        while self.outbox.parts:
            part = self.outbox.next()
            part = b"".join(part) if isinstance(part, list) else bytes(part)
            self.outbox.sent(len(part))
            data += part
        return data

    # -- what comes in

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes from the other side; return what they complete. For drivers that do not read into the buffer.

        Raises:
            WireError: as of :meth:`buffer_updated`.
        """
        events: list[Event] = []
        view = memoryview(data)
        while view:
            buffer = self.get_buffer()
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            try:
                events += self.buffer_updated(size)
            except WireError:
                if not events:
                    raise
                break  # the error stays, for the next call
            view = view[size:]
        return events

    def buffer_updated(self, size: int) -> list[Event]:
        """Take note of so many bytes written into the buffer; return the events that they complete.

        Raises:
            WireError: the bytes make no sense. Where events come before the damage, they are returned, and the error is
                for the next call, or for :attr:`check`.
        """
        events: list[Event] = []
        try:
            for frame in self._reader.buffer_updated(size):
                stream = self.streams.get(frame[1])
                event = self._on_stream(stream, frame) if stream is not None else self._on_none(frame)
                if event is not None:
                    events.append(event)
        except WireError as error:
            self._reader.fail(error)
            if not events:
                raise
        return events

    def _on_stream(self, stream: Stream, frame: Frame) -> Event:
        """Act on a frame of a stream that is open."""
        kind, _, meta, payload = frame
        if kind not in self._takes[0]:
            raise WireError(f"a {self.role} gets no {describe(frame)}")
        try:
            value = self._decode(meta, payload)
            if kind == EVENT:
                if type(value) is not dict:
                    raise _nonsense(kind, value)
                stream.inbox.append(value)
            elif kind == END:
                value, messages = _end_of(value)
                stream.inbox.extend(messages)
                if type(value) is Exited:  # before another thread can see the outcome
                    self.server.exiting = not self._codec.by_reference
                self._end(stream, value)
            else:
                self._note(stream, kind, value)
        except WireError as error:
            if self.role == "server":
                raise
            self.cancel(stream)  # for the other side knows nothing of that
            self._end(stream, Damaged(error))
            return END, stream, stream.outcome
        return kind, stream, value

    def _note(self, stream: Stream, kind: int, value: Any) -> None:
        if kind == CREDIT and type(value) is int:
            stream.granted += value
        elif kind == SCOPE and type(value) is dict:
            stream.scope = {**stream.scope, **value}
        elif kind != CANCEL:
            raise _nonsense(kind, value)

    def _on_none(self, frame: Frame) -> Event | None:
        """Act on a frame that is of no stream, or of none that is open."""
        kind, number, meta, payload = frame
        if kind not in self._takes[number == 0]:
            raise WireError(f"a {self.role} gets no {describe(frame)}")
        if number and kind != OPEN and not self._codec.by_reference:
            return None  # the stream has ended, or was forgotten, and the frame was on its way
        value = self._decode(meta, payload)  # by reference in any case, so that the table does not keep it
        if not number:
            self.server.note(kind, value)
            return kind, None, value
        if kind != OPEN:
            return None
        spec = _spec_of(value)
        self.streams[number] = stream = Stream(number, spec.kind, spec.messages)
        return kind, stream, spec

    def _end(self, stream: Stream, outcome: Outcome) -> None:
        stream.outcome = outcome
        self.streams.pop(stream.number, None)


def _spec_of(value: object) -> CallSpec:
    """The spec that has come as this value."""
    if type(value) is not tuple or len(value) != 4 or type(value[2]) is not tuple or type(value[0]) is not str:
        raise _nonsense(OPEN, value)
    if value[0] not in KINDS:
        raise _nonsense(OPEN, value)
    return CallSpec._make(value)


def _end_of(value: object) -> tuple[Outcome, tuple[Message, ...]]:
    """The outcome that has come as this value, and the messages before it."""
    try:
        if type(value) is tuple:
            outcome, messages = value
            if all(type(message) is dict for message in messages):
                return OUTCOMES[outcome[-1]]._make(outcome), messages
    except (IndexError, KeyError, TypeError, ValueError):
        pass
    raise _nonsense(END, value)


def _nonsense(kind: int, value: object) -> WireError:
    return WireError(f"a frame on the pipe makes no sense: {NAMES[kind]} with {value!r:.200}")
