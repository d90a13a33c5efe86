"""Two values that were alike, changed at random in one process, and then in the other, are alike again."""

from __future__ import annotations

import marshal
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from random import Random
from types import CellType
from typing import Any

import pytest

from isoclient.mirror.watched_values import watch

SEEDS = range(100)


def change_sequence(value: Any, random: Random) -> None:
    for _ in range(random.randrange(4)):
        if random.random() < 0.3 and value:
            value.pop()
        elif random.random() < 0.2:
            value.clear()
        elif random.random() < 0.3 and value:
            value[random.randrange(len(value))] = random.randrange(1000)
        elif random.random() < 0.2:
            value.insert(0, random.randrange(1000))
        else:
            value.append(random.randrange(1000))


def change_mapping(value: Any, random: Random) -> None:
    for _ in range(random.randrange(4)):
        if random.random() < 0.3 and value:
            del value[random.choice(list(value))]
        else:
            value[random.randrange(10)] = random.randrange(1000)


def change_set(value: set[int], random: Random) -> None:
    for _ in range(random.randrange(4)):
        value.symmetric_difference_update({random.randrange(10)})


def change_cell(value: CellType, random: Random) -> None:
    value.cell_contents = random.randrange(3)


class Slotted:
    __slots__ = ("first", "second", "third")


def change_slots(value: Slotted, random: Random) -> None:
    for _ in range(random.randrange(4)):
        name = random.choice(Slotted.__slots__)
        if random.random() < 0.3 and hasattr(value, name):
            delattr(value, name)
        else:
            setattr(value, name, random.randrange(1000))


def make_class() -> type:
    class Changing:
        first = 0

        def second(self) -> None:
            """It is none of what is watched, until something plain is in its place."""

    return Changing


def change_class(value: type, random: Random) -> None:
    for _ in range(random.randrange(4)):
        name = random.choice(["first", "second", "third"])
        if random.random() < 0.3 and name in vars(value):
            delattr(value, name)
        else:
            setattr(value, name, random.randrange(1000))


class Kept(dict[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("this can't be changed like that")


def change_kept(value: Kept, random: Random) -> None:
    plain = dict(value)
    change_mapping(plain, random)
    dict.clear(value)
    dict.update(value, plain)


def content(value: Any) -> Any:
    if isinstance(value, Slotted):
        return {name: getattr(value, name, None) for name in Slotted.__slots__}
    if isinstance(value, type):
        return {name: item for name, item in vars(value).items() if type(item) is int}
    return value.cell_contents if isinstance(value, CellType) else value


KINDS: list[tuple[Callable[[], Any], Callable[[Any, Random], None]]] = [
    (list, change_sequence),
    (deque, change_sequence),
    (dict, change_mapping),
    (OrderedDict, change_mapping),
    (Counter, change_mapping),
    (lambda: defaultdict(list), change_mapping),
    (Kept, change_kept),
    (Slotted, change_slots),
    (make_class, change_class),
    (set, change_set),
    (lambda: CellType(0), change_cell),
]


@pytest.mark.parametrize(("make", "change"), KINDS)
def test_what_changes_in_one_changes_in_the_other(
    make: Callable[[], Any], change: Callable[[Any, Random], None]
) -> None:
    for seed in SEEDS:
        random = Random(seed)
        sides = [watch(make()), watch(make())]
        for _ in range(10):
            here, there = random.sample(sides, 2)
            change(here.value, random)
            if here.has_changed():
                there.put(marshal.loads(marshal.dumps(here.take())))
            assert content(here.value) == content(there.value)
            assert not here.has_changed()
            assert not there.has_changed()


def test_what_both_append_is_kept() -> None:
    here, there = watch(["both"]), watch(["both"])
    here.value.append("here")
    there.value.append("there")
    there.put(here.take())
    assert there.value == ["both", "there", "here"]
    here.put(there.take())
    assert here.value == ["both", "there", "here"]


def test_what_both_set_is_kept() -> None:
    here, there = watch({}), watch({})
    here.value["here"] = there.value["there"] = 1
    there.put(here.take())
    here.put(there.take())
    assert here.value == there.value == {"here": 1, "there": 1}


def test_what_stays_is_what_it_was_wherever_it_goes() -> None:
    """Though it could never cross."""
    mine, yours = object(), object()
    here, there = watch([1, mine, 2]), watch([1, yours, 2])
    here.value[:] = [mine, 3, 1]
    there.put(marshal.loads(marshal.dumps(here.take())))
    assert there.value == [yours, 3, 1]


def test_a_variable_may_be_empty() -> None:
    here, there = watch(CellType(1)), watch(CellType(1))
    del here.value.cell_contents
    there.put(here.take())
    with pytest.raises(ValueError, match="empty"):
        there.value.cell_contents  # noqa: B018
