"""What ends with the test's process, by the kernel's hand alone."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

import pytest

from isoclient.server.lifeline import guard
from isoclient.system.descriptors import Belongings

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the kernel does this on Linux alone")


def fork(run: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(0)
    return pid


def ends(pid: int) -> bool:
    """Whether it ends. Not by a wait, for it may be the child of another process."""
    pidfd = os.pidfd_open(pid)
    try:
        return bool(select.select([pidfd], (), (), 10)[0])
    finally:
        os.close(pidfd)


def bare_process() -> None:
    """One that leads a group, has no descriptors, and does not end."""
    os.setpgid(0, 0)
    os.closerange(0, 256)
    time.sleep(60)


@pytest.mark.parametrize("number", [0, 200], ids=["low", "high"])
def test_a_group_ends_with_the_process_that_guards_it(number: int) -> None:
    reading, writing = os.pipe()

    def be_the_test() -> None:
        pid = fork(bare_process)
        os.setpgid(pid, pid)
        sentinel, lifeline = os.pipe()
        os.close(sentinel)
        # Whether its number is lower or higher than those of the readers is not to matter.
        moved = os.dup2(lifeline, number, inheritable=False)
        os.close(lifeline)
        belongings = Belongings()
        guard(belongings.make(int, moved), pid, belongings)
        os.write(writing, b"%d" % pid)
        time.sleep(60)

    test = fork(be_the_test)
    os.close(writing)
    try:
        guarded = int(os.read(reading, 20))
        os.kill(test, signal.SIGKILL)
        assert ends(guarded)
    finally:
        os.close(reading)
        os.waitpid(test, 0)
