"""Runs of pytest that are ended from outside, and apps that are stuck."""

from __future__ import annotations

import os
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def wait_until_stuck(pid: int) -> None:
    """Until it waits for something else than its event loop does."""
    end = time.monotonic() + 20
    while True:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        where = Path(f"/proc/{pid}/wchan").read_text()
        if fields[0] == "T" or (fields[0] == "S" and "poll" not in where and where != "0"):
            return
        assert time.monotonic() < end, (fields[0], where)
        time.sleep(0.002)


def environment() -> dict[str, str]:
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]
    # No plugin that happens to be installed may shuffle a run, for its tests build on each other. And loading is slow.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
