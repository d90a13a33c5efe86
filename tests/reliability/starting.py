"""Apps that are started from eight threads at once: no end of file is lost.

Usage::

    python tests/reliability/starting.py [--rounds 50]

A child that holds the test's end of a sibling's pipe hides the end of file from it. So each app's process, once the
test has closed its end of the pipe, has to end by itself, while all its siblings live.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import TestClient
from tests.processes import wait_gone
from tests.reliability.bench import machine, milliseconds, print_table
from tests.reliability.death import METHODS
from tests.reliability.handles import handle_of
from tests.reliability.plain_apps import plain

THREADS = 8
_BOUND = 10.0  # seconds


def start_at_once(method: str) -> list[float]:
    """Start so many, and hang up on one after the other; return how long each took to end.

    Raises:
        AssertionError: one did not end.
    """
    clients = [TestClient(plain, isolated=True, start_method=method) for _ in range(THREADS)]
    barrier = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def use(client: TestClient) -> None:
        try:
            barrier.wait(_BOUND)
            assert client.get("/").text == "alive"
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=use, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        return [_hang_up(client) for client in clients]
    finally:
        sys.setswitchinterval(interval)
        for client in clients:
            client.close()


def _hang_up(client: TestClient) -> float:
    handle = handle_of(client)
    assert handle is not None
    began = time.perf_counter()
    handle.is_told = True  # that it ends without having been asked to is no news here
    handle.connection.close(in_order=False)  # only this: its lifeline stays
    assert wait_gone(handle.pid, _BOUND), f"the end of file was lost on its way to process {handle.pid}"
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description="Start apps from several threads at once.")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    print(f"{machine()}; {options.rounds} rounds of {THREADS} threads, switch interval 1e-5 s")
    rows = []
    failed = 0
    for method in METHODS:
        times: list[float] = []
        lost = 0
        for _ in range(options.rounds):
            try:
                times += start_at_once(method)
            except AssertionError as error:
                lost += 1
                print(f"WRONG: {method}: {error}", flush=True)
        failed += lost
        rows.append((method, options.rounds, lost, *milliseconds(times)))
    print_table(("start method", "rounds", "with a lost end of file", "ms to the end: median", "worst"), rows)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
