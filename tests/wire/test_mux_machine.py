"""Both ends of the wire against a model of what they should know, whatever is said and however it arrives."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from isoclient.wire import protocol
from isoclient.wire.frames import ReferenceCodec, ValueCodec
from isoclient.wire.mux import GRANT_AT, WINDOW, Event, Mux, Stream, weight
from isoclient.wire.protocol import CallSpec, Cancelled, Exited, Message, Outcome, Raised, Returned, Role

SIZES: Final = (0, 10, 5000, 200_000, GRANT_AT)  # of what messages carry, in bytes
CONTENT: Final = {size: bytes(size) for size in SIZES}
messages = st.builds(lambda size: {"type": "http.x", "body": CONTENT[size]}, st.sampled_from(SIZES))
outcomes = st.sampled_from([Returned(), Raised("e"), Exited(1, "e", None), Cancelled()])


class Known:
    """What one end should know of a stream."""

    def __init__(self, stream: Stream, inbox: list[Message]) -> None:
        self.stream = stream
        self.inbox = deque(inbox)
        self.credit = WINDOW
        self.unpaid = 0  # what was received and not granted yet
        self.ahead = 0


class End:
    """One end, what it should know, and what it is yet to hear."""

    def __init__(self, role: Role, codec: ValueCodec | ReferenceCodec) -> None:
        self.mux = Mux(role, codec)
        self.known: dict[int, Known] = {}
        self.under_way = b""  # on the pipe to it
        self.to_hear: deque[tuple[int, int, Any]] = deque()  # by kind, stream, value
        self.held: list[tuple[int, Message]] = []  # of one stream
        self.last: dict[int, list[Message]] = {}  # which go out with the end of their stream


class Wire(RuleBasedStateMachine):
    codec: type[ValueCodec | ReferenceCodec] = ValueCodec

    def __init__(self) -> None:
        super().__init__()
        codec = self.codec()
        self.client, self.server = End("client", codec), End("server", codec)

    def said(self, by: End, kind: int, number: int, value: Any) -> None:
        """It is on its way from now on."""
        other = self.server if by is self.client else self.client
        other.to_hear.append((kind, number, value))
        other.under_way += by.mux.data_to_send()

    def pick(self, data: st.DataObject, end: End) -> Known:
        return end.known[data.draw(st.sampled_from(sorted(end.known)))]

    # -- what is said

    @rule(first=st.lists(messages, max_size=2))
    def open(self, first: list[Message]) -> None:
        spec = CallSpec("http", {"path": "/"}, tuple(first))
        stream = self.client.mux.open(spec)
        known = self.client.known[stream.number] = Known(stream, [])
        known.credit -= sum(map(weight, first))
        self.said(self.client, protocol.OPEN, stream.number, spec)

    @precondition(lambda self: self.client.known or self.server.known)
    @rule(data=st.data(), message=messages)
    def send(self, data: st.DataObject, message: Message) -> None:
        end = data.draw(st.sampled_from([end for end in (self.client, self.server) if end.known]))
        known = self.pick(data, end)
        assert end.mux.send(known.stream, message) == weight(message)
        known.credit -= weight(message)
        if end is self.server and self.held_of(known):
            self.let_go()
        self.said(end, protocol.EVENT, known.stream.number, message)

    @precondition(lambda self: self.server.known)
    @rule(data=st.data(), message=messages)
    def hold(self, data: st.DataObject, message: Message) -> None:
        known, server = self.pick(data, self.server), self.server
        number, is_large = known.stream.number, weight(message) > 3000
        assert server.mux.hold(known.stream, message) == weight(message)
        known.credit -= weight(message)
        if is_large or any(held != number for held, _ in server.held):
            self.let_go()
        if is_large:
            self.said(server, protocol.EVENT, number, message)
        else:
            server.held.append((number, message))

    @rule()
    def release(self) -> None:
        self.server.mux.release()
        self.let_go()

    def let_go(self) -> None:
        """What is held has been said."""
        for number, message in self.server.held:
            self.said(self.server, protocol.EVENT, number, message)
        self.server.held.clear()

    def held_of(self, known: Known) -> list[Message]:
        return [message for number, message in self.server.held if number == known.stream.number]

    @precondition(lambda self: self.client.known)
    @rule(data=st.data(), grace=st.none() | st.floats(0, 1), forgets=st.booleans())
    def cancel(self, data: st.DataObject, grace: float | None, forgets: bool) -> None:
        known = self.pick(data, self.client)
        self.client.mux.cancel(known.stream, grace)
        self.said(self.client, protocol.CANCEL, known.stream.number, grace)
        if forgets:
            self.client.mux.forget(known.stream)
            del self.client.known[known.stream.number]

    @precondition(lambda self: self.server.known)
    @rule(data=st.data(), outcome=outcomes)
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        known = self.pick(data, self.server)
        self.server.mux.finish(known.stream, outcome)
        del self.server.known[known.stream.number]
        if held := self.held_of(known):
            self.server.last[known.stream.number] = held[:]
            self.server.held.clear()
        self.said(self.server, protocol.END, known.stream.number, outcome)

    @rule(kind=st.sampled_from([protocol.STOP, protocol.READY]), value=st.none() | st.integers())
    def tell(self, kind: int, value: object) -> None:
        end = self.client if kind == protocol.STOP else self.server
        end.mux.tell(kind, value)
        self.said(end, kind, 0, value)

    # -- what is received

    @precondition(lambda self: any(known.inbox for end in (self.client, self.server) for known in end.known.values()))
    @rule(data=st.data(), ahead=st.booleans())
    def receive(self, data: st.DataObject, ahead: bool) -> None:
        waiting = [(end, known) for end in (self.client, self.server) for known in end.known.values() if known.inbox]
        end, known = data.draw(st.sampled_from(waiting))
        if ahead:
            known.stream.count_as_received()
            known.unpaid += sum(map(weight, list(known.inbox)[known.ahead :]))
            known.ahead = len(known.inbox)
        else:
            message = known.inbox.popleft()
            assert known.stream.receive() == message
            known.unpaid += 0 if known.ahead else weight(message)
            known.ahead -= known.ahead > 0
        assert known.stream.owes_credit is (known.unpaid >= GRANT_AT)
        if known.unpaid >= GRANT_AT:
            end.mux.grant(known.stream)
            self.said(end, protocol.CREDIT, known.stream.number, known.unpaid)
            known.unpaid = 0

    # -- what arrives

    @rule(data=st.data(), at_server=st.booleans())
    def arrive(self, data: st.DataObject, at_server: bool) -> None:
        end = self.server if at_server else self.client
        size = data.draw(st.sampled_from([1, 24, 100, 5000, len(end.under_way)]))
        arrived, end.under_way = end.under_way[:size], end.under_way[size:]
        for event in end.mux.feed(arrived):
            self.hear(end, event)

    def hear(self, end: End, event: Event) -> None:
        kind, stream, value = event
        expected = end.to_hear.popleft()
        while expected[1] and expected[0] != protocol.OPEN and expected[1] not in end.known:
            expected = end.to_hear.popleft()  # of a stream that is no more
        number = stream.number if stream is not None else 0
        assert (kind, number, value) == expected
        if kind == protocol.OPEN and stream is not None:
            end.known[number] = Known(stream, list(value.messages))
        elif kind == protocol.EVENT:
            end.known[number].inbox.append(value)
        elif kind == protocol.CREDIT:
            end.known[number].credit += value
        elif kind == protocol.END:
            assert stream is not None
            assert stream.outcome == value
            known = end.known.pop(number)
            assert list(stream.inbox) == [*known.inbox, *self.server.last.get(number, [])]

    @invariant()
    def both_ends_are_as_the_model_has_it(self) -> None:
        for end in (self.client, self.server):
            assert sorted(end.mux.streams) == sorted(end.known)
            for known in end.known.values():
                assert list(known.stream.inbox) == list(known.inbox)
                assert known.stream.may_send is (known.credit > 0)
                assert known.stream.consumed == known.unpaid

    def teardown(self) -> None:
        for end in (self.server, self.client):
            for event in end.mux.feed(end.under_way):
                self.hear(end, event)
            assert end.mux.unfinished() == ""
            assert all(number and number not in end.known for _, number, _ in end.to_hear)


class WireByReference(Wire):
    codec = ReferenceCodec


TestWire = Wire.TestCase
TestWire.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestWireByReference = WireByReference.TestCase
TestWireByReference.settings = settings(max_examples=10, stateful_step_count=40, deadline=None)
