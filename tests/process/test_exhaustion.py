"""What has run out in another process, as seen from here."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from isoclient import Limits
from isoclient.process.exhaustion import Watch

HANGS = "import time; print(flush=True); time.sleep(60)"


def test_one_that_hangs_beyond_its_limit_when_it_is_first_looked_at() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it hangs
            resource.prlimit(process.pid, resource.RLIMIT_AS, (2**20, resource.RLIM_INFINITY))
            watch, end = Watch(Limits(memory=2**20)), time.monotonic() + 30
            assert not watch.is_overdue(process.pid, None)
            while not watch.is_overdue(process.pid, None):
                assert time.monotonic() < end
        finally:
            process.kill()
