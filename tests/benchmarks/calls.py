"""What one warm request passes: the functions of ours and their files, on both sides. No clock, so any machine will do.

Usage::

    python -m tests.benchmarks.calls [get|raise|stream|post|echo] [--list]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import isoclient
from isoclient import TestClient

PACKAGE: Final = str(Path(isoclient.__file__).parent)
TIMES: Final = 20

Calls = Counter[tuple[str, str]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers, whatever is asked of it."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    if scope["path"] == "/raise":
        raise LookupError("the app's")
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"alive"})


class Counting:
    """Counts the calls of our functions in this thread, from :meth:`begin` on."""

    def __init__(self) -> None:
        self.found: Calls = Counter()

    def begin(self) -> None:
        self.found.clear()
        sys.setprofile(self._see)

    def end(self) -> Calls:
        sys.setprofile(None)
        return Counter(self.found)

    def _see(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            file = frame.f_code.co_filename.removeprefix(PACKAGE + "/")
            self.found[file, frame.f_code.co_qualname] += 1


counting: Final = Counting()


def _raise(client: TestClient) -> None:
    with contextlib.suppress(LookupError):
        client.get("/raise")


def _stream(client: TestClient) -> None:
    with client.get("/", stream=True) as response:
        for _ in response.iter_content(None):
            pass


ASKING: Final[dict[str, Callable[[TestClient], object]]] = {
    "get": lambda client: client.get("/"),
    "raise": _raise,
    "stream": _stream,
    "post": lambda client: client.post("/", data=b"x" * 1000),
}


def both_sides(ask: Callable[[TestClient], object]) -> tuple[Calls, Calls]:
    """The calls of our functions that it takes, here and in the app's process."""
    with TestClient(app, isolated=True, start_method="fork") as client:
        for _ in range(TIMES):
            ask(client)
        return _per_time(client, ask, here=True), _per_time(client, ask, here=False)


def _per_time(client: TestClient, ask: Callable[[TestClient], object], *, here: bool) -> Calls:
    """Less what it takes to begin and to end the counting."""
    without, within = (_count(client, ask, times, here=here) for times in (0, TIMES))
    within.subtract(without)
    return Counter({function: round(count / TIMES) for function, count in within.items() if count >= TIMES / 2})


def _count(client: TestClient, ask: Callable[[TestClient], object], times: int, *, here: bool) -> Calls:
    begin, end = counting.begin, counting.end
    if here:
        begin()
    else:
        client.call(lambda: counting.begin())
    for _ in range(times):
        ask(client)
    return end() if here else client.call(lambda: counting.end())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=ASKING, default="get", nargs="?")
    parser.add_argument("--list", action="store_true", help="each function, too")
    options = parser.parse_args()
    sides = dict(zip(("the test's", "the app's"), both_sides(ASKING[options.what]), strict=True))
    for side, calls in sides.items():
        files = {file for file, _ in calls}
        print(f"{side} side: {calls.total()} calls of {len(calls)} functions in {len(files)} files")
        if options.list:
            for (file, name), count in sorted(calls.items()):
                print(f"    {count} {file} {name}")
    functions = {function for calls in sides.values() for function in calls}
    total, files = sum(calls.total() for calls in sides.values()), {file for file, _ in functions}
    print(f"both: {total} calls of {len(functions)} functions in {len(files)} files")


if __name__ == "__main__":
    main()
