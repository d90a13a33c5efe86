"""What crosses when the app's process is killed, or writes on its own pipe: of ``messages.py`` and ``garbage.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoclient import TestClient
from tests.reliability.garbage import Bench, garbage, garbling
from tests.reliability.marks import each_method, slow
from tests.reliability.messages import STREAMS, kill_amid_streams


@each_method
def test_what_went_out_arrives_once_and_in_order(method: str) -> None:
    for seed in range(4):
        tally = kill_amid_streams(method, seed)
        assert tally.streams == STREAMS
        assert tally.faults == []


@pytest.fixture
def bench() -> Iterator[Bench]:
    with TestClient(garbling, isolated=True) as client, TestClient(garbling, isolated=True) as other:
        yield Bench(client, other)


_COSTLY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@_COSTLY
@given(at_random=st.randoms(use_true_random=False))
def test_damaged_frames(bench: Bench, at_random: object) -> None:
    bench.feed(garbage(at_random))  # type: ignore[arg-type]


@_COSTLY
@given(data=st.binary(min_size=1, max_size=200))
def test_no_frames_at_all(bench: Bench, data: bytes) -> None:
    bench.feed(data)
