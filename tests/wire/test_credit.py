"""Flow control: what can be under way is bounded by the window and one message, and it never stalls for good."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoclient.wire.mux import GRANT_AT, WINDOW, Stream, weight

BASE = weight({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"type": "http.response.body"}, 0),
        ({"type": "http.response.body", "body": b"x" * 10}, 10),
        ({"type": "websocket.send", "text": None, "bytes": b"x" * 10}, 10),
        ({"type": "websocket.send", "text": "x" * 10, "bytes": None}, 10),
        ({"type": "websocket.receive", "text": ""}, 0),
        ({"type": "http.response.start", "status": 200, "headers": []}, 0),
    ],
)
def test_a_message_weighs_its_content_and_something_for_itself(message: dict[str, object], content: int) -> None:
    assert weight(message) == BASE + content
    assert BASE > 0  # so that endless empty messages are held back too


def test_a_message_may_be_sent_while_any_credit_is_left() -> None:
    stream = Stream(1, "http")
    opened = []
    for spent, granted in ((WINDOW - 1, 0), (100 * WINDOW, 0), (0, 100 * WINDOW - 1), (0, 1)):
        stream.spent += spent
        stream.granted += granted
        opened.append(stream.may_send)
    assert opened == [True, False, False, True]


def test_grants_are_saved_up() -> None:
    stream = Stream(1, "http", ({"type": "http.request", "body": bytes(GRANT_AT - 2 * BASE)}, {"type": "http.request"}))
    owes = []
    for _ in range(2):
        stream.receive()
        owes.append(stream.owes_credit)
    assert owes == [False, True]


def test_what_counts_as_received_costs_once() -> None:
    stream = Stream(1, "http", ({"type": "http.request"},) * 3)
    stream.receive()
    stream.count_as_received()
    unreceived = [stream.has_unreceived]
    assert stream.consumed == 3 * BASE
    stream.inbox.append({"type": "http.request"})
    unreceived.append(stream.has_unreceived)
    assert unreceived == [False, True]
    for _ in range(3):
        stream.receive()
    assert stream.consumed == 4 * BASE


@given(st.lists(st.tuples(st.integers(0, 3 * WINDOW), st.booleans()), max_size=200))
def test_it_is_bounded_and_does_not_stall(steps: list[tuple[int, bool]]) -> None:
    sender, receiver = Stream(1, "http"), Stream(1, "http")
    under_way: deque[int] = deque()
    largest = 0

    def consume() -> None:
        receiver.consumed += under_way.popleft()
        if receiver.owes_credit:
            sender.granted += receiver.consumed
            receiver.consumed = 0

    for size, reads in steps:
        if reads and under_way:
            consume()
        if sender.may_send:
            cost = BASE + size
            largest = max(largest, cost)
            sender.spent += cost
            under_way.append(cost)
        assert sum(under_way) <= WINDOW + largest
    # Whoever reads all that there is lets the sender go on.
    while under_way:
        consume()
    assert sender.may_send
