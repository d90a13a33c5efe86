"""Both ends of the wire at once: whole, byte by byte, cut off, interleaved, out of turn, and amid damage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoclient.wire import protocol
from isoclient.wire.frames import ReferenceCodec, ValueCodec, pack
from isoclient.wire.mux import GRANT_AT, WINDOW, Event, Mux, Stream
from isoclient.wire.protocol import (
    CallSpec,
    Cancelled,
    Damaged,
    Exited,
    Outcome,
    Raised,
    Returned,
    Unfinished,
    Unsupported,
    WireError,
)
from tests.wire.pair import ConnectionPair, feed

START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
OUTCOMES = [Returned(), Returned([1]), Raised(b"x"), Exited(3, b"x", "memory"), Unfinished("a body"), Cancelled()]


def body(content: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


@pytest.fixture(params=[ValueCodec, ReferenceCodec])
def pair(request: pytest.FixtureRequest) -> ConnectionPair:
    return ConnectionPair(request.param())


@pytest.mark.parametrize("size", [None, 1, 7, 4095])
def test_one_stream_from_its_opening_to_its_end(pair: ConnectionPair, size: int | None) -> None:
    first = {"type": "http.request", "body": b"x", "more_body": True}
    ours = pair.client.open(CallSpec("http", {"path": "/"}, (first,)))
    pair.client.send(ours, {"type": "http.request", "body": b"y" * 10_000, "more_body": False})
    (opened, theirs, spec), (sent, _, message) = pair.to_server(size)
    assert theirs is not None
    assert (opened, spec.kind, spec.argument, sent) == (protocol.OPEN, "http", {"path": "/"}, protocol.EVENT)
    assert [theirs.receive(), theirs.receive()] == [first, message]
    pair.server.send(theirs, START)
    pair.server.send(theirs, body(b"z" * 10_000))
    pair.server.tell_of_scope(theirs, {"user": "ada"})
    pair.server.finish(theirs, Returned())
    assert [event[0] for event in pair.to_client(size)] == [protocol.EVENT] * 2 + [protocol.SCOPE, protocol.END]
    assert [ours.receive(), ours.receive()] == [START, body(b"z" * 10_000)]
    assert (ours.outcome, ours.scope) == (Returned(), {"user": "ada"})
    assert pair.client.streams == pair.server.streams == {}


@pytest.mark.parametrize("size", [None, 1, 7])
def test_what_is_held_goes_out_with_the_end(pair: ConnectionPair, size: int | None) -> None:
    ours, theirs = pair.open()
    weights = [pair.server.hold(theirs, message) for message in (START, body(b"x" * 1000))]
    assert (pair.to_client(), theirs.spent) == ([], sum(weights))
    pair.server.finish(theirs, Unfinished("a body"))
    assert [event[0] for event in pair.to_client(size)] == [protocol.END]
    assert [ours.receive(), ours.receive(), ours.outcome] == [START, body(b"x" * 1000), Unfinished("a body")]
    assert ours.consumed == sum(weights)
    assert pair.server.hold(theirs, START) == 0
    pair.server.release()
    assert pair.to_client() == []


def held_then(pair: ConnectionPair, then: Callable[[Stream], object]) -> list[tuple[int, Any]]:
    _, theirs = pair.open()
    pair.server.hold(theirs, START)
    then(theirs)
    return [(kind, value) for kind, _, value in pair.to_client()]


@pytest.mark.parametrize("size", [5, 5000], ids=["small", "large"])
def test_what_is_held_comes_before_what_is_not(pair: ConnectionPair, size: int) -> None:
    message = body(b"x" * size)
    both = [(protocol.EVENT, START), (protocol.EVENT, message)]
    assert held_then(pair, lambda stream: pair.server.send(stream, message)) == both
    assert held_then(pair, lambda _: pair.server.release()) == both[:1]
    other, theirs = pair.open()
    assert held_then(pair, lambda _: pair.server.hold(theirs, message))[:1] == both[:1]
    pair.server.finish(theirs, Returned())
    pair.to_client()
    assert other.receive() == message


def test_what_is_large_is_not_held(pair: ConnectionPair) -> None:
    large = body(b"x" * 5000)
    assert held_then(pair, lambda stream: pair.server.hold(stream, large)) == [
        (protocol.EVENT, START),
        (protocol.EVENT, large),
    ]


def test_an_end_that_can_not_cross_loses_nothing_that_is_held() -> None:
    pair = ConnectionPair()
    ours, theirs = pair.open()
    pair.server.hold(theirs, START)
    with pytest.raises(TypeError):
        pair.server.finish(theirs, Returned(object()))
    pair.server.finish(theirs, Raised(b"instead"))
    pair.to_client()
    assert [ours.receive(), ours.outcome] == [START, Raised(b"instead")]


def test_cut_off_anywhere() -> None:
    pair = ConnectionPair()
    _, theirs = pair.open()
    ends = [0]
    said = b""
    for message in (START, body(b"x" * 3000)):
        pair.server.send(theirs, message)
        said += pair.server.data_to_send()
        ends.append(len(said))
    for end in range(len(said) + 1):
        client = Mux("client", ValueCodec())
        client.open(CallSpec("http", {}))
        assert len(client.feed(said[:end])) == sum(end >= whole for whole in ends[1:])
        assert bool(client.unfinished()) is (end not in ends)


def test_streams_do_not_mix(pair: ConnectionPair) -> None:
    streams = [pair.open() for _ in range(3)]
    for turn in range(5):
        for _, theirs in reversed(streams):
            pair.server.send(theirs, body(b"%d of %d" % (turn, theirs.number)))
    pair.server.finish(streams[1][1], Cancelled())
    pair.to_client(11)
    for ours, _ in streams:
        assert [ours.receive()["body"] for _ in range(5)] == [b"%d of %d" % (turn, ours.number) for turn in range(5)]
    assert [ours.outcome for ours, _ in streams] == [None, Cancelled(), None]


@pytest.mark.parametrize("outcome", [*OUTCOMES, Unsupported()], ids=repr)
def test_each_outcome_crosses_as_what_it_is(pair: ConnectionPair, outcome: Outcome) -> None:
    ours, theirs = pair.open()
    pair.server.finish(theirs, outcome)
    pair.to_client()
    assert ours.outcome == theirs.outcome == outcome
    assert [other for other in [*OUTCOMES, Unsupported()] if other == outcome] == [outcome]


def test_an_outcome_that_can_not_cross_leaves_the_stream_open() -> None:
    pair = ConnectionPair()
    ours, theirs = pair.open()
    with pytest.raises(TypeError):
        pair.server.finish(theirs, Returned(object()))
    pair.server.finish(theirs, Raised(b"instead"))
    pair.to_client()
    assert ours.outcome == Raised(b"instead")


def test_credit(pair: ConnectionPair) -> None:
    ours, theirs = pair.open()
    sent = 0
    for _ in range(WINDOW // 100_000 + 1):
        if theirs.may_send:
            sent += pair.server.send(theirs, body(b"x" * 100_000))
    may_send = [theirs.may_send]
    assert WINDOW <= sent < WINDOW + 101_000
    pair.to_client()
    while not ours.owes_credit:
        ours.receive()
    pair.client.grant(ours)
    [(kind, _, amount)] = pair.to_server()
    assert kind == protocol.CREDIT
    assert amount >= GRANT_AT
    assert [*may_send, theirs.may_send] == [False, True]
    pair.client.grant(ours)
    assert pair.to_server() == []  # there was nothing to grant


def test_giving_up(pair: ConnectionPair) -> None:
    ours, theirs = pair.open()
    pair.client.cancel(ours, 0.5)
    pair.client.forget(ours)
    assert pair.to_server() == [(protocol.CANCEL, theirs, 0.5)]
    pair.server.send(theirs, START)
    pair.server.finish(theirs, Cancelled())
    assert pair.to_client() == []
    assert not ours.inbox


def test_what_crosses_the_end_on_its_way_is_dropped(pair: ConnectionPair) -> None:
    ours, theirs = pair.open()
    pair.server.finish(theirs, Returned())
    pair.client.send(ours, {"type": "http.request"})
    pair.client.cancel(ours)
    assert pair.to_server() == []
    pair.to_client()
    assert pair.client.send(ours, {"type": "http.request"}) == 0
    pair.client.cancel(ours)
    pair.server.send(theirs, START)
    pair.server.finish(theirs, Cancelled())
    assert (pair.client.data_to_send(), pair.server.data_to_send()) == (b"", b"")
    if isinstance(pair.codec, ReferenceCodec):
        assert pair.codec._table == {}  # else it would be kept as long as the client


def test_what_is_of_no_stream(pair: ConnectionPair) -> None:
    pair.client.tell(protocol.CONTEXT, {"levels": []})
    pair.client.tell(protocol.STOP)
    assert pair.to_server() == [(protocol.CONTEXT, None, {"levels": []}), (protocol.STOP, None, None)]
    pair.server.tell(protocol.READY, {"a": 1})
    assert pair.to_client() == [(protocol.READY, None, {"a": 1})]


# -- out of turn, and damage

WRONG: list[tuple[str, Callable[[ConnectionPair], object]]] = [
    ("a server sends no OPEN on stream 1", lambda pair: pair.server.open(CallSpec("http", {}))),
    ("a server sends no CANCEL on stream 1", lambda pair: pair.server.cancel(pair.open()[1])),
    ("a client sends no END on stream 1", lambda pair: pair.client.finish(pair.open()[0], Returned())),
    ("a client sends no SCOPE on stream 1", lambda pair: pair.client.tell_of_scope(pair.open()[0], {})),
    ("a client sends no READY on no stream", lambda pair: pair.client.tell(protocol.READY)),
    ("a server sends no EVENT on no stream", lambda pair: pair.server.tell(protocol.EVENT, {})),
]


@pytest.mark.parametrize(("why", "act"), WRONG, ids=[why for why, _ in WRONG])
def test_each_end_says_its_own_lines(why: str, act: Callable[[ConnectionPair], object]) -> None:
    pair = ConnectionPair()
    with pytest.raises(ValueError, match=why):
        act(pair)
    assert pair.server.data_to_send() == b""


def frame(kind: int, number: int, value: object) -> bytes:
    meta, payload = ValueCodec().encode(value)
    return pack(kind, number, meta, payload) + payload


NONSENSE: list[tuple[int, int, Any]] = [
    (protocol.END, 1, (None, "returned")),
    (protocol.READY, 0, None),
    (protocol.STOP, 1, None),
    (protocol.OPEN, 0, ("http", {}, (), None)),
    (protocol.OPEN, 1, ("http", {}, (), None)),  # for the second time
    (protocol.OPEN, 2, ("gopher", {}, (), None)),
    (protocol.OPEN, 2, (["http"], {}, (), None)),
    (protocol.OPEN, 2, ("http", {}, ())),
    (protocol.OPEN, 2, None),
    (protocol.EVENT, 1, "a text"),
    (protocol.CREDIT, 1, "a text"),
]


@pytest.mark.parametrize(("kind", "number", "value"), NONSENSE)
def test_a_server_trusts_nothing_after_nonsense(kind: int, number: int, value: object) -> None:
    pair = ConnectionPair()
    _, theirs = pair.open()
    first = frame(protocol.EVENT, 1, {"type": "http.request"})
    assert pair.server.feed(first + frame(kind, number, value)) == [(protocol.EVENT, theirs, {"type": "http.request"})]
    for _ in range(2):
        with pytest.raises(WireError, match=r"a server gets no|makes no sense"):
            pair.server.feed(first)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (protocol.EVENT, ["no dict"]),
        (protocol.CREDIT, 1.5),
        (protocol.SCOPE, None),
        (protocol.END, (("exploded",), ())),
        (protocol.END, ((1, 2, "returned"), ())),
        (protocol.END, ((), ())),
        (protocol.END, (([],), ())),
        (protocol.END, ("returned", ())),
        (protocol.END, ((None, "returned"), (None,))),
        (protocol.END, ((None, "returned"), None)),
        (protocol.END, (None, "returned")),
    ],
)
def test_nonsense_on_a_stream_of_a_client_is_the_end_of_that_one(kind: int, value: object) -> None:
    pair = ConnectionPair()
    ours, _ = pair.open()
    other, theirs = pair.open()
    [(told, stream, _)] = pair.client.feed(frame(kind, ours.number, value))
    assert (told, stream) == (protocol.END, ours)
    assert isinstance(ours.outcome, Damaged)
    assert "makes no sense" in str(ours.outcome.error)
    assert [(kind, stream.number) for kind, stream, _ in pair.to_server() if stream] == [(protocol.CANCEL, ours.number)]
    pair.server.send(theirs, START)
    pair.to_client()
    assert other.receive() == START


def test_no_other_call_is_begun_when_one_has_ended_the_process(pair: ConnectionPair) -> None:
    (ours, theirs), (last, leaving) = pair.open(), pair.open()
    pair.server.finish(theirs, Raised(b"x"))
    pair.to_client()
    assert ours.outcome == Raised(b"x")
    assert not pair.client.server.exiting
    pair.server.finish(leaving, Exited(3, b"x", None))
    pair.to_client()
    assert last.outcome == Exited(3, b"x", None)
    # Where both are one process, nothing ends.
    assert pair.client.server.exiting is not pair.codec.by_reference


@pytest.mark.parametrize("message", [START, body(b"x" * 100_000)], ids=["small", "large"])
def test_events_before_damage_count(message: dict[str, Any]) -> None:
    pair = ConnectionPair()
    ours, theirs = pair.open()
    pair.server.send(theirs, message)
    assert len(pair.client.feed(pair.server.data_to_send() + b"x" * 50)) == 1
    assert ours.receive() == message
    with pytest.raises(WireError, match="expected the header of a frame"):
        pair.client.check()


values = st.none() | st.integers() | st.text() | st.tuples(st.none(), st.sampled_from(["http", "returned", "exited"]))
said = st.tuples(st.sampled_from(sorted(protocol.NAMES)), st.integers(0, 3), values | st.just({"type": "x"}))


@settings(deadline=None)
@given(st.lists(said, max_size=8), st.sampled_from(["client", "server"]), st.integers(1, 200))
def test_whatever_is_said_no_end_fails_but_by_the_one_error(
    frames: list[tuple[int, int, Any]], role: protocol.Role, size: int
) -> None:
    mux = Mux(role, ValueCodec())
    if role == "client":
        mux.open(CallSpec("http", {}))
    try:
        feed(mux, b"".join(frame(*one) for one in frames), size)
    except WireError:
        with pytest.raises(WireError):
            mux.check()


# -- threads


def test_threads_that_speak_at_once_do_not_tear_frames() -> None:
    """While one thread writes, others put frames into the outbox, and nobody takes a lock."""
    pair = ConnectionPair()
    heard: dict[int, list[Any]] = {}

    def hear(events: list[Event]) -> None:
        for _, stream, value in events:
            assert stream is not None
            heard.setdefault(stream.number, []).append(value["body"] if isinstance(value, dict) else "opened")

    def speak() -> None:
        stream = pair.client.open(CallSpec("http", {}))
        for turn in range(300):
            pair.client.send(stream, body(b"%d" % turn + b"x" * (3000 if turn % 3 else 10)))

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        hear(pair.to_server())
    hear(pair.to_server())
    expected = ["opened"] + [b"%d" % turn + b"x" * (3000 if turn % 3 else 10) for turn in range(300)]
    assert heard == dict.fromkeys(range(1, 5), expected)


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ([], (False, None, False)),
        ([(protocol.READY, None)], (True, None, False)),
        ([(protocol.READY, None), (protocol.DEBUG, 4711), (protocol.ENDING, None)], (True, None, True)),
        ([(protocol.FAILED, "why")], (False, "why", False)),
    ],
)
def test_what_is_known_of_the_server(
    pair: ConnectionPair, said: list[tuple[int, Any]], known: tuple[bool, Any, bool]
) -> None:
    for kind, value in said:
        pair.server.tell(kind, value)
    assert pair.to_client() == [(kind, None, value) for kind, value in said]
    server = pair.client.server
    assert (server.ready, server.failure, server.ending) == known
