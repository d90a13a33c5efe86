"""Streams need little memory, and go both ways at once: a sample of ``memory.py``."""

from __future__ import annotations

import pytest

from tests.reliability.memory import BOUND, MEGABYTE, growth, talk_both_ways


@pytest.mark.parametrize("path", ["/up", "/down"])
def test_a_long_stream_needs_little_memory(path: str) -> None:
    grown = growth(path, 100)
    assert grown.test < BOUND
    assert grown.app < BOUND


@pytest.mark.parametrize("piece", [64 * 1024, MEGABYTE, 10 * MEGABYTE])
def test_two_way_traffic_does_not_deadlock(piece: int) -> None:
    talk_both_ways(10, piece)
