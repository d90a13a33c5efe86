"""Create, use and close, again and again: nothing of ours may stay.

Usage::

    python tests/reliability/leaks.py [--cycles 500] [--modes fork,forkserver,spawn,template,thread]

The garbage collector is off, so that what only a cycle of references holds counts as a leak too.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import TestClient
from tests.reliability.bench import machine, print_table
from tests.reliability.plain_apps import plain

MODES: Final[dict[str, dict[str, Any]]] = {
    "fork": {"isolated": True, "start_method": "fork"},
    "forkserver": {"isolated": True, "start_method": "forkserver"},
    "spawn": {"isolated": True, "start_method": "spawn"},
    "template": {"isolated": True, "app": "tests.reliability.plain_apps:plain"},
    "thread": {"isolated": False},
}


_MOMENT: Final = 1.0  # seconds


class Holdings(NamedTuple):
    """What this process has."""

    descriptors: int
    threads: int
    processes: int
    files: int

    @classmethod
    def take(cls) -> Holdings:
        own = os.getpid()
        return cls(
            len(os.listdir("/proc/self/fd")),
            len(os.listdir("/proc/self/task")),
            sum(_parent(name) == own for name in os.listdir("/proc") if name.isdigit()),
            len(os.listdir(tempfile.gettempdir())),  # not /dev/shm, which is for all processes of the machine
        )


def _settled(wanted: Holdings | None) -> Holdings:
    """What there is when a thread that has ended in Python's eyes has had its moment to end in the kernel's."""
    end = monotonic() + _MOMENT
    while (found := Holdings.take()) != wanted and monotonic() < end:
        sleep(0.01)
    return found


def _parent(pid: str) -> int:
    """Zombies have one too."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _client(mode: str) -> TestClient:
    return TestClient(**{"app": plain, **MODES[mode]})


def cycle(mode: str) -> None:
    """Create, use and close: a request, a streamed one that is left, a WebSocket, and a call."""
    with _client(mode) as client:
        assert client.get("/").text == "alive"
        client.get("/", stream=True).close()
        with client.websocket_connect("/") as websocket:
            websocket.send_bytes(b"echo")
            assert websocket.receive_bytes() == b"echo"
        assert isinstance(client.call(os.getpid), int)


def count_leaks(mode: str, cycles: int) -> tuple[Holdings, Holdings]:
    """What there is after two cycles, which may start what lasts, and after the last.

    The first may start the fork server and leave a template behind, and the second is the first that uses that.
    """
    temporary = tempfile.tempdir
    was_enabled = gc.isenabled()
    with tempfile.TemporaryDirectory() as directory:
        cycle(mode)
        cycle(mode)
        gc.collect()
        gc.disable()
        tempfile.tempdir = directory  # others use the usual one too
        try:
            before = _settled(None)
            for _ in range(cycles):
                cycle(mode)
            return before, _settled(before)
        finally:
            tempfile.tempdir = temporary
            if was_enabled:
                gc.enable()


def descriptors_of_this_process() -> dict[str, int]:
    """What its descriptors are, and how many of each; called in the app's process."""
    targets = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]
    return dict(Counter(target.partition(":[")[0] for target in targets))


def _is_open(name: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{name}")


def descriptors_of_children(mode: str, count: int = 20) -> list[dict[str, int]]:
    """What each of so many children sees that live at the same time."""
    if mode == "template":
        cycle(mode)  # the first process leaves it behind
    clients = [_client(mode) for _ in range(count)]
    try:
        return [client.call(descriptors_of_this_process) for client in clients]
    finally:
        for client in clients:
            client.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Create, use and close clients, and count what stays.")
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--modes", default=",".join(MODES))
    options = parser.parse_args()
    print(f"{machine()}; {options.cycles} cycles for each mode, without the garbage collector")
    rows = []
    failed = False
    for mode in options.modes.split(","):
        before, after = count_leaks(mode, options.cycles)
        failed |= before != after
        rows.append([mode, *(f"{old} -> {new}" for old, new in zip(before, after, strict=True))])
    print_table(("mode", "descriptors", "threads", "processes and zombies", "temporary files"), rows)
    print()
    rows = []
    for mode in options.modes.split(","):
        if mode != "thread":
            seen = descriptors_of_children(mode, 20)
            failed |= seen[0] != seen[-1]
            rows.append([mode, sum(seen[0].values()), sum(seen[-1].values()), "alike" if seen[0] == seen[-1] else seen])
    print_table(("mode", "descriptors of child 1", "of child 20", ""), rows)
    return failed


if __name__ == "__main__":
    sys.exit(main())
