"""Deadlines of any length."""

from __future__ import annotations

from math import inf

import pytest

from isoclient.drive.failures import DeadlineExceeded
from isoclient.drive.waiting import Deadline


@pytest.mark.parametrize("seconds", [None, inf])
def test_no_limit(seconds: float | None) -> None:
    deadline = Deadline(seconds)
    assert (deadline.remaining(), deadline.moment(), deadline.lock_timeout()) == (None, 100, -1)
    deadline.check()


@pytest.mark.parametrize("seconds", [3e6, 1e12, 1e300])
def test_longer_than_the_system_can_wait(seconds: float) -> None:
    import select
    import threading

    deadline = Deadline(seconds)
    reading = select.poll()
    lock = threading.Lock()
    assert lock.acquire(timeout=deadline.lock_timeout())
    assert deadline.remaining() is not None
    reading.register(1, select.POLLNVAL | select.POLLOUT)
    reading.poll(deadline.moment())
    deadline.check()


def test_no_time_at_all() -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline(0).check()
