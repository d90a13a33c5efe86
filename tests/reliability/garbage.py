"""Bytes that are no frames, on the app's own pipe: one clear error, and nothing else is disturbed.

Usage::

    python tests/reliability/garbage.py [--frames 1000] [--seed 0]
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import requests

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import AppCrashed, AppTimeout, TestClient
from isoclient.server.runtime import Pipe
from isoclient.wire.frames import ValueCodec, pack
from isoclient.wire.protocol import EVENT
from tests.reliability.bench import machine, print_table
from tests.reliability.handles import handle_of
from tests.reliability.plain_apps import Receive, Scope, Send, answer, live

DEADLINE = 0.5


async def garbling(scope: Scope, receive: Receive, send: Send) -> None:
    """It writes the body of a request on its pipe, past everything, and then answers."""
    if scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    else:
        data = (await receive())["body"]
        if scope["path"] == "/garbage":
            (pipe,) = (thing for thing in gc.get_objects() if isinstance(thing, Pipe))
            os.write(pipe.sock.fileno(), data)
        await answer(send, b"answered")


def a_frame(stream: int = 999) -> bytes:
    """A frame as it should be, of a stream that is not there."""
    meta, payload = ValueCodec().encode({"type": "http.response.body", "body": b"x" * 5000, "more_body": True})
    return pack(EVENT, stream, meta, payload) + payload


def garbage(at_random: random.Random) -> bytes:
    """A frame that is damaged, or cut off, or none at all."""
    data = bytearray(a_frame(at_random.choice((0, 1, 2, 999))))
    kind = at_random.randrange(4)
    if kind == 0:
        return at_random.randbytes(at_random.randrange(1, 2000))
    if kind == 1:
        at = at_random.randrange(len(data) - 5000)  # the payload has no checksum
        data[at] ^= 1 << at_random.randrange(8)
    elif kind == 2:
        del data[at_random.randrange(1, len(data)) :]
    else:
        at = at_random.randrange(len(data))
        data[at:at] = at_random.randbytes(at_random.randrange(1, 50))
    return bytes(data)


class Bench:
    """A client that is fed garbage, and another one beside it."""

    def __init__(self, client: TestClient, other: TestClient) -> None:
        self.client = client
        self.other = other
        self.other_pid = other.pid

    def feed(self, data: bytes) -> str:
        """Return what came of it, in a word.

        Raises:
            AssertionError: it was not one clear error, or disturbed something else.
        """
        pid = self.client.pid
        with self.client.websocket_connect("/") as bystander:
            outcome = self._request(data)
            handle = handle_of(self.client)
            if handle is None or handle.connection.lost:
                self._is_told(bystander.receive_text)
        response = self.client.get("/")
        assert response.text == "answered"
        assert (self.client.pid == pid) == (outcome in ("response", "timeout, cancelled"))
        assert self.other.get("/").text == "answered"
        assert self.other.pid == self.other_pid
        return outcome

    def _request(self, data: bytes) -> str:
        try:
            response = self.client.post("/garbage", data=data, timeout=DEADLINE)
        except AppCrashed as error:
            return "AppCrashed" if "on the pipe" in str(error) else self._unclear(data, error)
        except AppTimeout as error:
            # A frame that was cut off waits for the rest of it.
            return "timeout, ended" if error.stack else "timeout, cancelled"
        except requests.RequestException as error:
            return self._unclear(data, error)
        assert response.text == "answered"
        return "response"

    def _unclear(self, data: bytes, error: Exception) -> NoReturn:
        raise AssertionError(f"{data!r} led to {error!r}") from error

    def _is_told(self, receive: Callable[[], object]) -> None:
        try:
            receive()
        except requests.ConnectionError:
            return
        raise AssertionError("a WebSocket of the same process was not told")


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed garbage to clients.")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(machine())
    at_random = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    wrong = 0
    with TestClient(garbling, isolated=True) as client, TestClient(garbling, isolated=True) as other:
        bench = Bench(client, other)
        for _ in range(options.frames):
            data = garbage(at_random)
            try:
                outcomes[bench.feed(data)] += 1
            except (AssertionError, requests.RequestException) as error:
                wrong += 1
                print(f"WRONG: {data[:60]!r} ({len(data)} bytes): {error!r:.500}", flush=True)
    print_table(("outcome", "frames"), sorted(outcomes.items()))
    print(f"\n{options.frames} frames, {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
