"""Create, use and close: a sample of ``leaks.py``."""

from __future__ import annotations

import pytest

from tests.reliability.leaks import count_leaks, descriptors_of_children
from tests.reliability.marks import slow


@pytest.mark.parametrize(
    ("mode", "cycles"),
    [
        ("fork", 10),
        ("thread", 10),
        ("template", 10),
        pytest.param("forkserver", 10, marks=pytest.mark.rest),
        *(pytest.param(mode, 30, marks=slow) for mode in ("fork", "thread", "template", "forkserver")),
        pytest.param("spawn", 10, marks=slow),
    ],
)
def test_a_cycle_leaves_nothing(mode: str, cycles: int) -> None:
    before, after = count_leaks(mode, cycles)
    assert after == before


@pytest.mark.parametrize(
    "mode",
    ["fork", pytest.param("forkserver", marks=pytest.mark.rest), "template", pytest.param("spawn", marks=slow)],
)
def test_a_child_sees_nothing_of_its_siblings(mode: str) -> None:
    first, *_, last = descriptors_of_children(mode, 8)
    assert last == first
