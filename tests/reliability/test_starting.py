"""Starts from eight threads at once: a sample of ``starting.py``; and one that hangs before our code has begun."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from isoclient import AppStartupError, TestClient
from isoclient.process.app_process import AppProcess
from tests.reliability.handles import handle_of
from tests.reliability.marks import slow
from tests.reliability.plain_apps import plain
from tests.reliability.starting import THREADS, start_at_once


@pytest.mark.parametrize(
    ("method", "rounds"),
    [
        ("fork", 1),
        ("forkserver", 1),
        *(pytest.param(*more, marks=slow) for more in (("fork", 5), ("forkserver", 3), ("spawn", 1))),
    ],
)
def test_no_end_of_file_is_lost(method: str, rounds: int) -> None:
    interval = sys.getswitchinterval()
    for _ in range(rounds):
        assert len(start_at_once(method)) == THREADS
    assert sys.getswitchinterval() == interval


class _Hook:
    """What some library runs in each fork; here it waits for a lock, if a test wants it to."""

    hangs = False

    def __call__(self) -> None:
        if self.hangs:
            threading.Event().wait()


_hook = _Hook()
os.register_at_fork(after_in_child=_hook)


def test_a_fork_that_hangs_at_once_is_not_ended_by_being_asked_for_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(plain, isolated=True, timeout=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(AppProcess, "start_time", 0.3)
        patched.setattr(_hook, "hangs", True)
        with pytest.raises(AppStartupError, match=r"not ready within 0\.3 s\n\(no stack: .* lock"):
            client.get("/")
    handle = handle_of(client)
    assert handle is not None
    status = handle.status()
    assert status is not None
    assert (status.pid, status.exitcode) == (handle.pid, -signal.SIGKILL)
    client.timeout = 30.0
    assert client.get("/").status_code == 200  # the next fork does not hang
    client.close()
