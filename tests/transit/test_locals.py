"""The local variables that cross with a traceback, when the test has asked for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from isoclient.transit import pack_exception, unpack_exception
from isoclient.transit.tracebacks import LocalText

LONG, MANY = "x" * 100_000, list(range(100_000))  # once, for hundreds of frames that have them would fill the memory


def locals_of(fails: Callable[[], object]) -> dict[str, Any]:
    """Those of the innermost frame, as they arrive."""
    try:
        fails()
    except ZeroDivisionError as error:
        traceback = unpack_exception(pack_exception(error, with_locals=True)).__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback is not None
    assert traceback.tb_frame.f_lineno == traceback.tb_lineno
    return dict(traceback.tb_frame.f_locals)


def test_plain_values_arrive_as_they_are() -> None:
    def fails() -> None:
        number, text, nothing = 1, "two", None
        nested = {"a": [1, (2.5, b"x")], "b": {None}}
        _ = number / 0, text, nothing, nested

    assert locals_of(fails) == {
        "number": 1,
        "text": "two",
        "nothing": None,
        "nested": {"a": [1, (2.5, b"x")], "b": {None}},
    }


def test_others_arrive_as_their_text() -> None:
    class Order(list[int]):
        def __repr__(self) -> str:
            return "<Order 7>"

    def fails() -> None:
        order, orders = Order(), [Order()]
        _ = order, orders, 1 / 0

    found = locals_of(fails)

    assert (repr(found["order"]), repr(found["orders"])) == ("<Order 7>", "[<Order 7>]")
    assert type(found["order"]) is LocalText


def test_a_hostile_repr_harms_nobody() -> None:
    class Raises:
        def __repr__(self) -> str:
            raise SystemExit("no")

    class Endless:
        def __repr__(self) -> str:
            while True:
                pass

    def fails() -> None:
        raises, after, endless, later = Raises(), 1, Endless(), 2
        _ = raises, after, endless, later, 1 / 0

    started = time.monotonic()
    found = locals_of(fails)

    assert time.monotonic() - started < 10
    assert repr(found["raises"]).endswith("repr() raised SystemExit>")
    assert found["after"] == 1
    assert repr(found["endless"]).endswith("repr() raised TimeoutError>")


def test_they_are_bounded() -> None:
    def fails(depth: int) -> None:
        text, items = LONG, MANY
        if depth:
            fails(depth - 1)
        _ = text, items, 1 / 0

    try:
        fails(500)
    except ZeroDivisionError as error:
        packed = pack_exception(error, with_locals=True)

    assert len(packed) < 2_000_000
    found = locals_of(lambda: fails(0))
    assert len(repr(found["text"])) < 2_100
    assert repr(found["items"]).endswith("more characters)")


def test_it_is_said_how_much_is_left_out() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 5_000

    def fails() -> None:
        long = Long()
        _ = long, 1 / 0

    assert repr(locals_of(fails)["long"]).endswith("x... (3,000 more characters)")


def test_a_cycle_ends() -> None:
    def fails() -> None:
        cycle: list[Any] = []
        cycle.append(cycle)
        _ = cycle, 1 / 0

    assert repr(locals_of(fails)["cycle"]) == "[[...]]"


def test_nobody_asked() -> None:
    def fails() -> None:
        number = 1
        _ = number / 0

    try:
        fails()
    except ZeroDivisionError as error:
        traceback = unpack_exception(pack_exception(error)).__traceback__
    assert traceback is not None
    assert traceback.tb_next is not None
    assert traceback.tb_next.tb_frame.f_locals == {}
