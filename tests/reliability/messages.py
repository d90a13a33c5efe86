"""What is written arrives, once and in order, though the app's process is killed at a random moment.

Usage::

    python tests/reliability/messages.py [--streams 10000] [--seed 0]

The app's process notes each frame that it puts into its outbox, and how many bytes have gone to the pipe, in a file
that is mapped into its memory, and so survives it. Of each stream, all frames that had gone out whole must arrive.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Final, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import AppCrashed, TestClient
from isoclient.wire.frames import Outbox
from tests.reliability.bench import machine, print_table
from tests.reliability.handles import handle_of
from tests.reliability.plain_apps import Receive, Scope, Send, live

STREAMS: Final = 20  # of one process
_SIZE: Final = 4 << 20
_HEAD: Final = struct.Struct("QQ")  # bytes that have gone out, frames noted
_NOTE: Final = struct.Struct("IIQ")  # stream, number of its message, where its frame ends in what goes out
_LABEL: Final = struct.Struct("II")


class Book:
    """What the app's process notes."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._put = 0
        self._written = 0
        self._count = 0

    def begin(self) -> None:
        """Note what becomes of every frame from now on."""
        put, sent = Outbox.put, Outbox.sent

        def noting_put(box: Outbox, head: bytes, payload: bytes = b"") -> None:
            self._put += len(head) + len(payload)
            label = _label_of(payload)
            if label is not None:
                _NOTE.pack_into(self._map, _HEAD.size + self._count * _NOTE.size, *label, self._put)
                self._count += 1
                self._note()
            put(box, head, payload)

        def noting_sent(box: Outbox, count: int) -> None:
            self._written += count
            self._note()
            sent(box, count)

        self._put = self._written = 0
        Outbox.put = noting_put  # type: ignore[assignment,method-assign]
        Outbox.sent = noting_sent  # type: ignore[assignment,method-assign]

    def _note(self) -> None:
        _HEAD.pack_into(self._map, 0, self._written, self._count)

    def went_out(self) -> dict[int, int]:
        """For each stream, how many of its messages had gone out whole, at least."""
        written, count = _HEAD.unpack_from(self._map, 0)
        found: dict[int, int] = {}
        for at in range(count):
            stream, _, end = _NOTE.unpack_from(self._map, _HEAD.size + at * _NOTE.size)
            found[stream] = found.get(stream, 0) + (end <= written)
        return found


_MARK: Final = b"labelled"


def _label_of(payload: bytes) -> tuple[int, int] | None:
    if not payload.startswith(_MARK):
        return None
    stream, number = _LABEL.unpack_from(payload, len(_MARK))
    return stream, number


def _labelled(stream: int, number: int, size: int) -> bytes:
    return _MARK + _LABEL.pack(stream, number) + bytes(size)


class Streaming:
    """An app with endless responses and WebSockets, whose messages are labelled.

    Args:
        path: of the file with the notes.
        seed: for the sizes of the messages.
    """

    def __init__(self, path: str, seed: int) -> None:
        self.path = path
        self.seed = seed
        self.book: Book | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self.book = Book(self.path)
            self.book.begin()
            await live(receive, send)
            return
        stream = int(scope["path"][1:])
        sizes = random.Random(self.seed + stream)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200})
        number = 0
        while True:
            # Small ones often wait for others in the outbox; large ones are cut by a full pipe.
            size = sizes.choice((4096, 20_000, 300_000))
            if scope["type"] == "websocket":
                await send({"type": "websocket.send", "bytes": _labelled(stream, number, size)})
            else:
                await send({"type": "http.response.body", "body": _labelled(stream, number, size), "more_body": True})
            number += 1


class Tally(NamedTuple):
    """What came of the streams of one process."""

    streams: int
    written: int
    delivered: int
    faults: list[str]


def kill_amid_streams(method: str, seed: int) -> Tally:
    """Read so many streams in turn until the process is killed, and compare."""
    at_random = random.Random(seed)
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(_SIZE)
        app = Streaming(file.name, seed)
        with TestClient(app, isolated=True, start_method=method, restart=False) as client:
            tally = _read_all(client, at_random)
            assert handle_of(client) is not None
        written = Book(file.name).went_out()
    faults = list(tally.faults)
    delivered = 0
    for stream, count in enumerate(tally.counts):
        delivered += count
        if count < written.get(stream, 0):
            faults.append(f"stream {stream}: {written[stream]} messages went out, {count} arrived")
    return Tally(STREAMS, sum(written.values()), delivered, faults)


class _Reading(NamedTuple):
    counts: list[int]
    faults: list[str]


def _read_all(client: TestClient, at_random: random.Random) -> _Reading:
    counts = [0] * STREAMS
    faults: list[str] = []
    readers = {stream: _reader(client, stream) for stream in range(STREAMS)}
    timer = Timer(at_random.uniform(0, 0.05), os.kill, (client.pid, signal.SIGKILL))
    timer.start()
    while readers:
        stream = at_random.choice(list(readers))
        try:
            data = readers[stream]()
        except AppCrashed as error:
            del readers[stream]
            if error.signal != signal.SIGKILL:
                faults.append(f"stream {stream}: {error}")
            continue
        label = _label_of(data)
        if label != (stream, counts[stream]):
            faults.append(f"stream {stream}: expected its message {counts[stream]}, got {label}")
        counts[stream] += 1
    timer.join()
    return _Reading(counts, faults)


def _reader(client: TestClient, stream: int) -> Callable[[], bytes]:
    """What returns the next message of a stream; every second one is a WebSocket."""
    if stream % 2:
        return client.websocket_connect(f"/{stream}").receive_bytes
    pieces = client.get(f"/{stream}", stream=True).iter_content(None)
    return lambda: next(pieces)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the app amid its streams, and see what arrives.")
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="fork")
    options = parser.parse_args()
    print(f"{machine()}; start method {options.method}")
    tallies = []
    for number in range(-(-options.streams // STREAMS)):
        tally = kill_amid_streams(options.method, options.seed + number)
        tallies.append(tally)
        for fault in tally.faults:
            print(f"WRONG with seed {options.seed + number}: {fault}", flush=True)
    faults = sum(len(tally.faults) for tally in tallies)
    row = [sum(tally[at] for tally in tallies) for at in range(3)]  # type: ignore[misc]
    print_table(("streams", "messages that went out whole", "delivered", "faults"), [[*row, faults]])
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
