"""What crosses when the app's process is killed, or writes on its own pipe: of ``messages.py`` and ``garbage.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoclient import AppTimeout, TestClient
from tests.reliability.garbage import Bench, a_frame, garbage, garbling
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


def test_a_frame_that_is_cut_off_is_no_stuck_loop(bench: Bench) -> None:
    data = a_frame()
    with pytest.raises(AppTimeout) as caught:
        bench.client.post("/garbage", data=data[:-2000], timeout=0.2)
    [(come, size)] = re.findall(r"only (\d+) of (\d+) bytes of a message have come on the pipe", str(caught.value))
    assert len(data) - 2000 <= int(come) < int(size) == len(data)  # its answer counts to it, too
    assert "was ended" in str(caught.value)
    assert bench.client.get("/").text == "answered"


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
