"""Starts from eight threads at once: a sample of ``starting.py``."""

from __future__ import annotations

import sys

import pytest

from tests.reliability.marks import slow
from tests.reliability.starting import THREADS, start_at_once


@pytest.mark.parametrize(("method", "rounds"), [("fork", 5), ("forkserver", 3), pytest.param("spawn", 1, marks=slow)])
def test_no_end_of_file_is_lost(method: str, rounds: int) -> None:
    interval = sys.getswitchinterval()
    for _ in range(rounds):
        assert len(start_at_once(method)) == THREADS
    assert sys.getswitchinterval() == interval
