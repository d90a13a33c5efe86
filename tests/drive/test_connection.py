"""Both ends of the wire, joined over a socketpair in one process: no loop, no child, no app."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from isoclient.drive.blocking import BlockingStream
from isoclient.drive.connection import Connection
from isoclient.drive.failures import ConnectionLost, DeadlineExceeded, NotReady
from isoclient.drive.waiting import Deadline
from isoclient.server.runtime import Pipe
from isoclient.transit.codecs import LocalCodec, PipeCodec
from isoclient.wire import protocol
from isoclient.wire.frames import pack
from isoclient.wire.mux import WINDOW, Event
from isoclient.wire.protocol import CallSpec, Cancelled, Damaged, Outcome, Returned, WireError

SOON = 10.0  # seconds; nothing here takes that long


class Peer:
    """The server's end, in the hands of the test."""

    def __init__(self, sock: socket.socket, codec: PipeCodec | LocalCodec) -> None:
        self.pipe = Pipe(sock, codec)
        self.codec = codec
        self._events: list[Event] = []

    def next(self) -> tuple[int, int, Any]:
        """What the client says next: the kind of its frame, its stream, its value."""
        while not self._events:
            poll = select.poll()
            poll.register(self.pipe.sock, select.POLLIN)
            assert poll.poll(SOON * 1000), "the client sent nothing"
            found = self.pipe.read()
            assert found is not None, "the client has closed the pipe"
            self._events += found
        kind, stream, value = self._events.pop(0)
        return kind, stream.number if stream is not None else 0, value

    def tell(self, kind: int, value: Any) -> None:
        self.pipe.mux.tell(kind, value)
        self.write()

    def send(self, stream: BlockingStream, message: dict[str, Any]) -> None:
        self.pipe.mux.send(self.pipe.mux.streams[stream.wire.number], message)
        self.write()

    def finish(self, stream: BlockingStream, outcome: Outcome) -> None:
        self.pipe.mux.finish(self.pipe.mux.streams[stream.wire.number], outcome)
        self.write()

    def write(self) -> None:
        assert self.pipe.write(), "the pipe is full"

    def close(self) -> None:
        self.pipe.sock.close()


class Pair:
    def __init__(self, codec: PipeCodec | LocalCodec) -> None:
        ours, theirs = socket.socketpair()
        self.front = Connection(ours, codec)
        self.peer = Peer(theirs, codec)

    def open(self, messages: tuple[Any, ...] = ()) -> BlockingStream:
        stream = BlockingStream(self.front, CallSpec("http", {"path": "/"}, messages), Deadline(SOON))
        what, number, spec = self.peer.next()
        assert (what, number) == (protocol.OPEN, stream.wire.number)
        assert spec[:3] == ("http", {"path": "/"}, messages)
        assert (spec.variables is None) is not self.front.codec.by_reference
        return stream


@pytest.fixture(params=[PipeCodec, LocalCodec])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param())
    yield made
    made.front.close()
    made.peer.close()


def body(content: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def test_one_stream_from_its_opening_to_its_end(pair: Pair) -> None:
    stream = pair.open(messages=({"type": "http.request", "body": b"", "more_body": False},))
    pair.peer.tell(protocol.READY, 4711)
    pair.peer.send(stream, {"type": "http.response.start", "status": 200})
    pair.peer.send(stream, body(b"x" * 100_000, more=False))
    pair.peer.finish(stream, Returned())
    assert stream.receive(Deadline(SOON)) == {"type": "http.response.start", "status": 200}
    assert stream.receive(Deadline(SOON)) == body(b"x" * 100_000, more=False)
    assert stream.receive(Deadline(SOON)) is None
    assert stream.receive(Deadline(SOON)) is None
    assert stream.outcome == Returned()
    assert pair.front.server.ready
    assert pair.front.mux.streams == {}


def test_streams_do_not_mix(pair: Pair) -> None:
    one, two = pair.open(), pair.open()
    assert one.wire.number != two.wire.number
    for number in range(10):
        pair.peer.send(two, body(b"two %d" % number))
        pair.peer.send(one, body(b"one %d" % number))
    for number in range(10):
        assert one.receive(Deadline(SOON)) == body(b"one %d" % number)
    for number in range(10):
        assert two.receive(Deadline(SOON)) == body(b"two %d" % number)


def test_events_for_the_app(pair: Pair) -> None:
    stream = pair.open()
    assert stream.send({"type": "http.request", "body": b"y" * 5000, "more_body": True}, Deadline(SOON))
    expected = {"type": "http.request", "body": b"y" * 5000, "more_body": True}
    assert pair.peer.next() == (protocol.EVENT, stream.wire.number, expected)
    stream.cancel(Deadline(SOON))
    assert pair.peer.next() == (protocol.CANCEL, stream.wire.number, None)
    pair.peer.finish(stream, Cancelled())
    assert stream.wait_end(Deadline(SOON)) == Cancelled()
    assert stream.send({"type": "http.request"}, Deadline(SOON)) is False
    stream.cancel(Deadline(SOON))  # has no effect any more


def test_reading_grants_credit(pair: Pair) -> None:
    stream = pair.open()
    for _ in range(2):
        pair.peer.send(stream, body(b"x" * 40_000))
    for _ in range(4 * WINDOW // 40_000):
        stream.receive(Deadline(SOON))
        pair.peer.send(stream, body(b"x" * 40_000))
    granted = 0
    while granted < 3 * WINDOW:
        kind, number, amount = pair.peer.next()
        assert (kind, number) == (protocol.CREDIT, stream.wire.number)
        granted += amount


def test_a_sender_waits_for_credit(pair: Pair) -> None:
    stream = pair.open()
    deadline = Deadline(SOON)
    sent = 0
    while stream.may_send(deadline):
        stream.send({"type": "http.request", "body": bytes(100_000), "more_body": True}, deadline)
        pair.peer.next()
        sent += 1
        if sent == WINDOW // 100_000 + 1:
            break
    with pytest.raises(DeadlineExceeded):
        stream.may_send(Deadline(0.01))
    theirs = pair.peer.pipe.mux.streams[stream.wire.number]
    theirs.count_as_received()
    pair.peer.pipe.mux.grant(theirs)
    pair.peer.write()
    assert stream.may_send(Deadline(SOON))


def test_a_sender_without_credit_is_woken_by_what_the_app_says(pair: Pair) -> None:
    stream = pair.open()
    stream.wire.spent = 2 * WINDOW
    pair.peer.send(stream, body(b"early"))
    assert stream.may_send(Deadline(SOON)) is False
    assert stream.receive(Deadline(SOON)) == body(b"early")
    pair.peer.finish(stream, Returned())
    assert stream.may_send(Deadline(SOON)) is True
    assert stream.send({"type": "http.request"}, Deadline(SOON)) is False


def test_a_deadline(pair: Pair) -> None:
    stream = pair.open()
    with pytest.raises(DeadlineExceeded) as caught:
        stream.receive(Deadline(0.01))
    assert caught.value.seconds == 0.01
    pair.peer.send(stream, body(b"late"))
    assert stream.receive(Deadline(SOON)) == body(b"late")
    assert stream.receive(Deadline(0.0)) is None if stream.outcome else True


def test_the_end_of_the_peer(pair: Pair) -> None:
    one, two = pair.open(), pair.open()
    pair.peer.send(one, body(b"last words"))
    pair.peer.close()
    assert one.receive(Deadline(SOON)) == body(b"last words")
    for stream in (one, two):
        with pytest.raises(ConnectionLost):
            stream.receive(Deadline(SOON))
    assert pair.front.lost is not None
    late = BlockingStream(pair.front, CallSpec("http", {}), Deadline(SOON))
    with pytest.raises(ConnectionLost):
        late.receive(Deadline(SOON))


def test_a_peer_that_is_gone_with_frames_of_ours_unread(pair: Pair) -> None:
    stream = BlockingStream(pair.front, CallSpec("http", {}), Deadline(SOON))
    meta, payload = pair.peer.codec.encode(body(b"last words"))
    pair.peer.pipe.mux.outbox.put(pack(protocol.EVENT, stream.wire.number, meta, payload), payload)
    pair.peer.write()
    pair.peer.close()  # what it has not read makes this a reset
    assert stream.receive(Deadline(SOON)) == body(b"last words")
    with pytest.raises(ConnectionLost):
        stream.receive(Deadline(SOON))


def test_a_watched_descriptor_tells_of_the_end_where_the_socket_does_not(pair: Pair) -> None:
    reading, writing = os.pipe()
    try:
        pair.front.watch(reading)
        stream = pair.open()
        pair.peer.send(stream, body(b"last words"))
        pair.peer.send(stream, body(b"and more"))
        os.close(writing)  # as a pidfd becomes readable; the socket stays open
        assert stream.receive(Deadline(SOON)) == body(b"last words")
        assert stream.receive(Deadline(SOON)) == body(b"and more")
        with pytest.raises(ConnectionLost):
            stream.receive(Deadline(SOON))
    finally:
        os.close(reading)


def test_an_app_that_could_not_be_loaded(pair: Pair) -> None:
    stream = pair.open()
    pair.peer.tell(protocol.FAILED, pair.peer.codec.pack_exception(LookupError("no app")))
    with pytest.raises(NotReady) as caught:
        stream.receive(Deadline(SOON))
    assert isinstance(caught.value.__cause__, LookupError)


def test_rubbish_on_the_pipe() -> None:
    pair = Pair(PipeCodec())
    try:
        stream = pair.open()
        pair.peer.send(stream, body(b"before"))
        pair.peer.pipe.sock.send(b"the app wrote this to a descriptor that it took for its own")
        assert stream.receive(Deadline(SOON)) == body(b"before")
        with pytest.raises(ConnectionLost, match="expected the header of a frame") as caught:
            stream.receive(Deadline(SOON))
        assert isinstance(caught.value.__cause__, WireError)
    finally:
        pair.front.close()
        pair.peer.close()


def test_a_value_that_cannot_be_decoded_fails_its_own_stream_alone() -> None:
    pair = Pair(PipeCodec())
    try:
        one, two = pair.open(), pair.open()
        pair.peer.pipe.sock.send(pack(protocol.EVENT, one.wire.number, b"\xff\xff"))
        pair.peer.send(two, body(b"unharmed"))
        assert two.receive(Deadline(SOON)) == body(b"unharmed")
        assert one.receive(Deadline(SOON)) is None
        assert isinstance(one.outcome, Damaged)
    finally:
        pair.front.close()
        pair.peer.close()


def test_frames_for_streams_that_are_no_more_are_dropped(pair: Pair) -> None:
    stream = pair.open()
    pair.front.mux.forget(stream.wire)
    other = pair.open()
    pair.peer.send(stream, body(b"nobody waits"))
    pair.peer.finish(stream, Returned())
    pair.peer.send(other, body(b"here"))
    assert other.receive(Deadline(SOON)) == body(b"here")


def test_a_full_pipe_is_read_while_it_is_written() -> None:
    """Two ends that both send more than the pipe holds before either reads: a deadlock, if the client just blocked."""
    pair = Pair(PipeCodec())
    try:
        stream = pair.open()
        size = 900_000
        received = []

        def peer() -> None:
            pair.peer.pipe.sock.setblocking(True)
            meta, payload = pair.peer.codec.encode(body(bytes(size)))
            pair.peer.pipe.sock.sendall(pack(protocol.EVENT, stream.wire.number, meta, payload) + payload)
            pair.peer.pipe.sock.setblocking(False)
            received.append(pair.peer.next())

        thread = threading.Thread(target=peer)
        thread.start()
        message = {"type": "http.request", "body": bytes(size), "more_body": True}
        assert stream.send(message, Deadline(SOON))
        assert stream.receive(Deadline(SOON)) == body(bytes(size))
        thread.join(SOON)
        assert received == [(protocol.EVENT, stream.wire.number, message)]
    finally:
        pair.front.close()
        pair.peer.close()


def test_a_peer_that_takes_nothing(pair: Pair) -> None:
    if pair.front.codec.by_reference:
        return  # its frames are so small that the pipe is never full
    stream = pair.open()
    with pytest.raises(DeadlineExceeded):
        stream.send({"type": "http.request", "body": bytes(5_000_000)}, Deadline(0.01))
    # The frame is not torn: it goes out whole as soon as there is room.
    other = threading.Thread(target=lambda: stream.send({"type": "http.request", "body": b"next"}, Deadline(SOON)))
    other.start()
    kind, number, message = pair.peer.next()
    assert (kind, number, len(message["body"])) == (protocol.EVENT, stream.wire.number, 5_000_000)
    assert pair.peer.next()[2]["body"] == b"next"
    other.join(SOON)


def test_several_threads_wait_and_each_gets_its_own(pair: Pair) -> None:
    streams = [pair.open() for _ in range(8)]
    found: dict[int, Any] = {}

    def wait(stream: BlockingStream) -> None:
        for _ in range(20):
            message = stream.receive(Deadline(SOON))
            assert message is not None
            found.setdefault(stream.wire.number, []).append(message["body"])

    threads = [threading.Thread(target=wait, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    for turn in range(20):
        for stream in reversed(streams):
            pair.peer.send(stream, body(b"%d" % turn))
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert found == {stream.wire.number: [b"%d" % turn for turn in range(20)] for stream in streams}


def test_several_threads_wait_and_the_peer_ends(pair: Pair) -> None:
    streams = [pair.open() for _ in range(8)]
    lost: list[int] = []

    def wait(stream: BlockingStream) -> None:
        try:
            stream.receive(Deadline(SOON))
        except ConnectionLost:
            lost.append(stream.wire.number)

    threads = [threading.Thread(target=wait, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    pair.peer.close()
    for thread in threads:
        thread.join(SOON)
    assert sorted(lost) == [stream.wire.number for stream in streams]


def test_the_lead_is_handed_on(pair: Pair) -> None:
    """Whoever reads for the others stops when it has what it waited for, or when its time is over."""
    one, two, three = pair.open(), pair.open(), pair.open()
    found: list[str] = []

    def wait(stream: BlockingStream, deadline: Deadline, name: str) -> None:
        try:
            stream.receive(deadline)
            found.append(name)
        except DeadlineExceeded:
            found.append(f"{name} timed out")

    impatient = threading.Thread(target=wait, args=(one, Deadline(0.05), "one"))
    impatient.start()
    patient = [threading.Thread(target=wait, args=(stream, Deadline(SOON), name))
               for stream, name in ((two, "two"), (three, "three"))]  # fmt: skip
    for thread in patient:
        thread.start()
    impatient.join(SOON)
    pair.peer.send(two, body(b""))
    patient[0].join(SOON)
    pair.peer.send(three, body(b""))
    patient[1].join(SOON)
    assert found == ["one timed out", "two", "three"]


def test_closing_it_while_others_wait(pair: Pair) -> None:
    stream = pair.open()
    pair.front.close()
    with pytest.raises(ConnectionLost):
        stream.receive(Deadline(SOON))


def test_try_flush_never_waits() -> None:
    pair = Pair(PipeCodec())
    try:
        for _ in range(100):
            pair.front.mux.tell(protocol.STOP, bytes(100_000))
            pair.front.try_flush()
        assert pair.peer.next()[0] == protocol.STOP
    finally:
        pair.front.close()
        pair.peer.close()
