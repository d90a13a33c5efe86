"""What the app's process makes: by plain pickle, and nothing of the test's is changed by it."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import pytest

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.transit import pack_result, unpack_result
from isoclient.transit.reduction import set_items


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


def test_the_locks_of_an_object_are_free_in_its_copy() -> None:
    lock, other = threading.Lock(), threading.RLock()
    thing = Plain([lock, lock, other])
    with lock:
        packed = pack_result(thing, {}, with_locks=True)
        with pytest.raises(ObjectNotSendable, match="lock"):
            pack_result(thing, {})
    first, second, third = unpack_result(packed, {}, 1.0).value
    assert (type(first), type(third)) == (type(lock), type(other))
    assert first is second is not lock
    assert first.acquire(blocking=False)


class Unchangeable(dict[str, object]):
    def __setitem__(self, key: str, value: object) -> None:
        raise TypeError("this is for reading")


def test_a_dict_that_lets_nobody_change_it() -> None:
    thing = Unchangeable(lock=threading.Lock(), number=1)
    arrived = unpack_result(pack_result(thing, {}, with_locks=True), {}, 1.0)
    assert (type(arrived), list(arrived), arrived["number"]) == (Unchangeable, ["lock", "number"], 1)


def test_a_dict_of_pythons_makes_what_it_lacks_in_its_copy() -> None:
    things = Plain([defaultdict(list, a=[threading.Lock()]), Counter("aab"), OrderedDict(b=1, a=2)])
    lists, counter, ordered = unpack_result(pack_result(things, {}, with_locks=True), {}, 1.0).value
    assert (list(lists), lists["b"]) == (["a"], [])
    assert (counter, counter["c"]) == ({"a": 2, "b": 1}, 0)
    ordered.move_to_end("b")
    assert list(ordered) == ["a", "b"]


def test_what_the_test_has_gets_no_items_with_it() -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return set_items, (mine, {"changed": True})

    mine: dict[str, bool] = {}
    with pytest.raises(ObjectNotLoadable, match="it would change something that has not come with it"):
        unpack_result(pack_result(Hostile(), {"mine": mine}), {"mine": mine}, 1.0)
    assert mine == {}
