"""Flow control: what can be under way is bounded by the window and one message, and it never stalls for good."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoclient.wire.credit import WINDOW, ReceiveWindow, SendWindow, weight

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
    window = SendWindow()
    opened = []
    window.spend(WINDOW - 1)
    opened.append(window.is_open)
    window.spend(100 * WINDOW)  # one of any size passes
    opened.append(window.is_open)
    window.grant(100 * WINDOW - 1)
    opened.append(window.is_open)
    window.grant(1)
    opened.append(window.is_open)
    assert opened == [True, False, False, True]


def test_grants_are_saved_up() -> None:
    window = ReceiveWindow()
    assert window.consume(WINDOW // 2 - 1) == 0
    assert window.consume(1) == WINDOW // 2
    assert window.consume(1) == 0
    assert window.consume(5 * WINDOW) == 5 * WINDOW + 1


@given(st.lists(st.tuples(st.integers(0, 3 * WINDOW), st.booleans()), max_size=200))
def test_it_is_bounded_and_does_not_stall(steps: list[tuple[int, bool]]) -> None:
    sender, receiver = SendWindow(), ReceiveWindow()
    under_way: deque[int] = deque()
    largest = 0

    def consume() -> None:
        granted = receiver.consume(under_way.popleft())
        if granted:
            sender.grant(granted)

    for size, reads in steps:
        if reads and under_way:
            consume()
        if sender.is_open:
            cost = weight({"body": b""}) + size
            largest = max(largest, cost)
            sender.spend(cost)
            under_way.append(cost)
        assert sum(under_way) <= WINDOW + largest
    # Whoever reads all that there is lets the sender go on.
    while under_way:
        consume()
    assert sender.is_open
