"""What values look like, without any code of theirs being run."""

from __future__ import annotations

import asyncio
import datetime
import enum
import queue
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
import requests
import trio

from isoclient.transit.looks import MISSING, attribute_of, is_data, look_at


class Suit(enum.Enum):
    HEARTS = "hearts"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Book:
    title: str
    pages: int = 3


class Slotted:
    __slots__ = ("there", "unset")

    def __init__(self) -> None:
        self.there = [1]


class Hostile(list[int]):
    def __init__(self, *items: int) -> None:
        super().__init__(items)
        self.name = "kept"

    def fail(self, *args: object) -> Any:
        raise SystemExit

    __repr__ = __iter__ = __len__ = __getattribute__ = __eq__ = fail


class Text(str):
    def __repr__(self) -> str:
        raise SystemExit


def that_is_set(event: Any) -> Any:
    event.set()
    return event


def with_tea(queue: Any) -> Any:
    queue.put_nowait("tea")
    return queue


Point = namedtuple("Point", "x y")
endless: list[Any] = [1]
endless.append(endless)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (3, "3"),
        (10**5000, f"<int of {(10**5000).bit_length()} bits>"),
        ({"a": [1, (2,), ()]}, "{'a': [1, (2,), ()]}"),
        ({3, 1, 2}, "{1, 2, 3}"),
        (frozenset({1}), "frozenset({1})"),
        (deque([1]), "deque([1])"),
        (Counter("aa"), "Counter({'a': 2})"),
        (defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
        (OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (Point(1, 2), "Point((1, 2))"),
        (Suit.HEARTS, "Suit.HEARTS"),
        (Level.LOW, "Level.LOW"),
        (Book("Tea"), "Book(title='Tea', pages=3)"),
        (Slotted(), "Slotted(there=[1])"),
        (endless, "[1, ...]"),
        (datetime.date(2020, 1, 2), "datetime.date(2020, 1, 2)"),
        (Decimal("1.50"), "Decimal('1.50')"),
        ([threading.Lock(), mock.Mock()], "[<_thread.lock>, <unittest.mock.Mock>]"),
        (
            {"done": threading.Event(), "well": that_is_set(threading.Event())},
            "{'done': <Event: not set>, 'well': <Event: set>}",
        ),
        ([asyncio.Event(), that_is_set(trio.Event())], "[<Event: not set>, <Event: set>]"),
        (threading.Condition(), "<Condition>"),
        (threading.Semaphore(), "<Semaphore>"),
        (trio.Semaphore(1), "<Semaphore: ParkingLotStatistics(tasks_waiting=0)>"),
        ({"error": LookupError("tea", [3])}, "{'error': LookupError('tea', [3])}"),
        ([with_tea(queue.Queue()), with_tea(asyncio.Queue())], "[Queue(['tea']), Queue(['tea'])]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_they_look_like(value: object, text: str) -> None:
    assert look_at(value).text == text


def test_what_hostile_ones_look_like() -> None:
    assert [look_at(value).text for value in (Text("tea"), Hostile(1, 2))] == ["'tea'", "Hostile([1, 2])"]


def test_the_text_is_bounded() -> None:
    assert len(look_at([list(range(10_000))] * 100).text) < 10_100
    assert len(look_at("x" * 10**7).text) < 10_100


def test_what_is_no_data() -> None:
    tools: list[object] = [mock, mock.Mock(), print, len, Book, requests.Response(), iter([1]), threading.Lock()]
    assert not any(map(is_data, tools))
    things: list[object] = [None, 0, "", [], {}, Book("Tea"), Suit.HEARTS, Slotted(), threading.Event(), queue.Queue()]
    things.append(ValueError())
    assert all(map(is_data, things))


def test_attributes_are_read_without_asking() -> None:
    class Asked:
        of_class = 1

        def __init__(self) -> None:
            self.own = 2

        @property
        def computed(self) -> int:
            raise AssertionError

        def __getattr__(self, name: str) -> int:
            raise AssertionError

    assert [attribute_of(Asked(), name) for name in ("own", "of_class", "computed", "none")] == [2, 1, MISSING, MISSING]
    assert attribute_of(Asked, "of_class") == 1
    assert [attribute_of(Slotted(), name) for name in ("there", "unset")] == [[1], MISSING]
    assert attribute_of(Hostile(1), "name") == "kept"
