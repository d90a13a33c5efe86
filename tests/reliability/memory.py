"""Streams of any length need little memory, on either side.

Usage::

    python tests/reliability/memory.py [--megabytes 1024]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import TestClient
from tests.reliability.bench import machine, print_table
from tests.reliability.plain_apps import Receive, Scope, Send, answer, live

MEGABYTE = 1 << 20
BOUND = 32.0  # megabytes


async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
    """``/down/N`` sends N megabytes, ``/up`` counts what it gets, a WebSocket echoes with all its might."""
    if scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    elif scope["path"] == "/up":
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await answer(send, b"%d" % size)
    else:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(int(scope["path"].removeprefix("/down/"))):
            await send({"type": "http.response.body", "body": bytes(MEGABYTE), "more_body": True})
        await send({"type": "http.response.body"})


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


class Growth(NamedTuple):
    """How many megabytes the peak of each process lies above where it began, and how long it took."""

    test: float
    app: float
    seconds: float


def _reset_peak(pid: int | str) -> float:
    """Forget the peak; return what is used now, in megabytes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def _status(pid: int | str, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def _measured(client: TestClient, path: str, megabytes: int) -> Growth:
    _transfer(client, path, 4)  # what is needed once
    ours, theirs = _reset_peak("self"), _reset_peak(client.pid)
    began = perf_counter()
    _transfer(client, path, megabytes)
    seconds = perf_counter() - began
    return Growth(_status("self", "VmHWM") - ours, _status(client.pid, "VmHWM") - theirs, seconds)


def _transfer(client: TestClient, path: str, megabytes: int) -> None:
    if path == "/up":
        response = client.post("/up", data=_pieces(megabytes))
        assert int(response.text) == megabytes * MEGABYTE
        return
    with client.get(f"/down/{megabytes}", stream=True) as response:
        assert sum(map(len, response.iter_content(MEGABYTE))) == megabytes * MEGABYTE


def _pieces(megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes):
        yield bytes(MEGABYTE)


def growth(path: str, megabytes: int) -> Growth:
    """Stream so much, ``"/up"`` or ``"/down"``."""
    with TestClient(streaming, isolated=True) as client:
        return _measured(client, path, megabytes)


def talk_both_ways(megabytes: int, piece: int) -> float:
    """Send so much on one WebSocket that echoes it, before anything is read; return the seconds."""
    with TestClient(streaming, isolated=True) as client, client.websocket_connect("/") as websocket:
        began = perf_counter()
        count = megabytes * MEGABYTE // piece
        for number in range(count):
            websocket.send_bytes(number.to_bytes(4, "big") + bytes(piece - 4))
        for number in range(count):
            data = websocket.receive_bytes()
            assert (int.from_bytes(data[:4], "big"), len(data)) == (number, piece)
        return perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description="Stream, and measure the memory of both processes.")
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    print(f"{machine()}; {options.megabytes} MB each way")
    rows = []
    failed = False
    for path in ("/up", "/down"):
        grown = growth(path, options.megabytes)
        failed |= max(grown.test, grown.app) > BOUND
        rows.append((path[1:], f"{grown.test:.1f}", f"{grown.app:.1f}", f"{options.megabytes / grown.seconds:.0f}"))
    print_table(("direction", "MB more in the test", "MB more in the app", "MB/s"), rows)
    for piece in (64 * 1024, MEGABYTE, 10 * MEGABYTE):
        print(f"10 MB both ways on one WebSocket, by {piece // 1024} KB: {talk_both_ways(10, piece):.2f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
