"""``kill -9`` of a test's process at random moments: nothing that belongs to its app may stay.

Usage::

    python tests/reliability/orphans.py [--kills 1000] [--load 2]

A "test's process" is a fork of this one, the leader of a session of its own, by which whatever it and its app have
started can be found. It is killed while its app is idle, holds the GIL, ignores all signals, or is starting; while a
fork of the test's process, which has nothing to do with the app, lives on; and while nothing of the app's process is
there any more that could see it: it has died, which the test has not noticed, and left a command behind; or it has
closed all its descriptors, and blocks.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import sys
import time
from ast import literal_eval
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import NamedTuple, NoReturn

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import TestClient
from tests.reliability.bench import busy_processes, machine, milliseconds, print_table
from tests.reliability.death import METHODS
from tests.reliability.plain_apps import LONG, clinging

_BOUND = 0.5
_FOR_EVER = 10.0  # seconds: what is there for longer stays
_FOREIGN = "foreign"  # the name of a process that has nothing to do with the app
_STATES = (
    "idle",
    "GIL held",
    "signals ignored",
    "starting",
    "foreign sibling",
    "starting with siblings",
    "dead, a command left",
    "descriptors closed",
)

# How long a start takes, so that a random moment is within it.
_START_TIMES = {"fork": 0.03, "forkserver": 0.25, "spawn": 0.5}


# -- the test's process


def _be_a_test(state: str, method: str, ready: int) -> NoReturn:
    try:
        os.setsid()
        signal.alarm(LONG)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        client = TestClient(clinging, isolated=True, start_method=method)
        _ACTS[state](client, lambda: os.write(ready, b"!"))
        time.sleep(LONG)
    finally:
        os._exit(1)


def _idle(client: TestClient, ready: Callable[[], object]) -> None:
    client.__enter__()
    ready()


def _stuck_at(path: str) -> Callable[[TestClient, Callable[[], object]], None]:
    def act(client: TestClient, ready: Callable[[], object]) -> None:
        client.__enter__()
        ready()
        client.get(path)

    return act


def _starting(client: TestClient, ready: Callable[[], object]) -> None:
    ready()
    client.__enter__()


def _with_sibling(client: TestClient, ready: Callable[[], object]) -> None:
    client.__enter__()
    _fork_a_stranger()
    ready()


def _starting_with_siblings(client: TestClient, ready: Callable[[], object]) -> None:
    def fork() -> None:
        for _ in range(5):
            _fork_a_stranger()

    ready()
    thread = Thread(target=fork)
    thread.start()
    client.__enter__()


def _dead(client: TestClient, ready: Callable[[], object]) -> None:
    """Only the command stays, which has none of the app's descriptors."""
    client.__enter__()
    _, *others = literal_eval(client.get("/").text)
    for pid in (client.pid, *others):
        os.kill(pid, signal.SIGKILL)
    ready()


def _closed(client: TestClient, ready: Callable[[], object]) -> None:
    client.__enter__()
    for pid in literal_eval(client.get("/").text)[1:]:
        os.kill(pid, signal.SIGKILL)
    ready()
    client.get("/closed")


def _fork_a_stranger() -> None:
    if os.fork() == 0:
        Path("/proc/self/comm").write_text(_FOREIGN)
        signal.alarm(LONG)
        time.sleep(LONG)
        os._exit(0)


_ACTS: dict[str, Callable[[TestClient, Callable[[], object]], None]] = {
    "idle": _idle,
    "GIL held": _stuck_at("/gil"),
    "signals ignored": _stuck_at("/deaf"),
    "starting": _starting,
    "foreign sibling": _with_sibling,
    "starting with siblings": _starting_with_siblings,
    "dead, a command left": _dead,
    "descriptors closed": _closed,
}


# -- the one that kills it


def _kill_one(state: str, method: str, at_random: random.Random) -> tuple[float, list[str]]:
    """Return the seconds until all was gone, and what is not gone at all."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_a_test(state, method, writing)
    os.close(writing)
    try:
        _await_readable(reading)
        starting = state.startswith("starting")
        time.sleep(at_random.uniform(0, _START_TIMES[method] if starting else 0.01))
        os.kill(pid, signal.SIGKILL)
    finally:
        os.close(reading)
    os.waitpid(pid, 0)
    return _watch_them_go(pid)


def _await_readable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(LONG * 1000):
        raise TimeoutError("a test's process did not get going")


def _watch_them_go(session: int) -> tuple[float, list[str]]:
    began = time.monotonic()
    orphans = _wait_gone(session, lambda process: not process.is_excused and not process.is_server)
    seconds = time.monotonic() - began
    # A fork server that is still importing has no app, and sees the end after that.
    orphans += _wait_gone(session, lambda process: process.is_server)
    for process in _members(session):
        os.kill(process.pid, signal.SIGKILL)
    return seconds, orphans


def _wait_gone(session: int, concerns: Callable[[_Process], bool]) -> list[str]:
    end = time.monotonic() + _FOR_EVER
    while (left := [process for process in _members(session) if concerns(process)]) and time.monotonic() < end:
        time.sleep(0.001)
    return [f"{process.pid} {process.command or process.name}" for process in left]


class _Process(NamedTuple):
    pid: int
    name: str
    leads_no_group: bool
    command: str

    @property
    def is_excused(self) -> bool:
        """It is not the app's: the stranger."""
        return self.name == _FOREIGN

    @property
    def is_server(self) -> bool:
        """The fork server itself; the apps that come from it lead groups of their own."""
        return "isoclient.server.fork_server" in self.command and self.leads_no_group


def _members(session: int) -> Iterator[_Process]:
    """The processes of a session."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            before, _, after = text.rpartition(")")
            fields = after.split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                yield _Process(int(name), before.partition("(")[2], int(fields[2]) == session, _command(int(name)))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill tests, and look for what they leave.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--load", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--bound", type=float, default=_BOUND, help="seconds until all has to be gone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{machine()}; {options.kills} kills, {options.load} busy processes")
    at_random = random.Random(options.seed)
    cells = [(state, method) for state in _STATES for method in METHODS]
    times: dict[str, list[float]] = defaultdict(list)
    kills: dict[str, int] = defaultdict(int)
    late: dict[str, int] = defaultdict(int)
    orphans: dict[str, int] = defaultdict(int)
    with busy_processes(options.load):
        for number in range(options.kills):
            state, method = cells[number % len(cells)]
            seconds, left = _kill_one(state, method, at_random)
            kills[state] += 1
            orphans[state] += bool(left)
            late[state] += seconds > options.bound
            times[state].append(seconds)
            if left:
                print(f"LEFT: {state}, {method}: {'; '.join(left)}", flush=True)
            elif seconds > options.bound:
                print(f"LATE: {state}, {method}: {seconds:.2f} s, load average {os.getloadavg()[0]:.1f}", flush=True)
    rows = [(state, kills[state], orphans[state], late[state], *milliseconds(times[state])) for state in _STATES]
    print_table(("killed while", "kills", "with orphans", "late", "ms until all was gone: median", "worst"), rows)
    count = sum(late.values())
    print(
        f"\n{sum(kills.values())} kills, {sum(orphans.values())} with orphans, {count} later than {options.bound:g} s"
    )
    return bool(sum(orphans.values()) or count)


if __name__ == "__main__":
    sys.exit(main())
