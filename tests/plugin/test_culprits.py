"""The search for the fewest of the earlier tests that change what comes of a later one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoclient.plugin.culprits import fewest


class Asked:
    """Whether these numbers hold all of those, and how often that was asked."""

    def __init__(self, *needed: int) -> None:
        self.needed = set(needed)
        self.choices: list[tuple[int, ...]] = []

    def __call__(self, choice: Sequence[int]) -> bool:
        self.choices.append(tuple(choice))
        return self.needed <= set(choice)


@pytest.mark.parametrize("culprit", [0, 1, 499, 998, 999])
def test_a_single_one_is_found_by_bisection(culprit: int) -> None:
    asked = Asked(culprit)
    assert fewest(range(1000), asked, trials=200) == [culprit]
    assert len(asked.choices) <= 2 * 10  # both halves, where the first one that is asked for does not suffice


def test_one_that_is_near_takes_half_of_that() -> None:
    asked = Asked(1023)
    fewest(range(1024), asked, trials=200)
    assert len(asked.choices) == 10


@given(st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), min_size=1))))
def test_all_that_are_needed_are_found_and_in_their_order(given: tuple[int, set[int]]) -> None:
    size, needed = given
    asked = Asked(*needed)
    assert fewest(range(size), asked, trials=100_000) == sorted(needed)
    assert len(set(asked.choices)) == len(asked.choices)


def test_what_is_found_when_the_trials_are_used_up() -> None:
    asked = Asked(80, 99)
    assert fewest(range(100), asked, trials=3) == list(range(75, 100))
    assert len(asked.choices) == 3
