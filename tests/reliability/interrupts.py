"""Interrupt a client wherever it can be interrupted: nothing of ours may stay, and what can go on does.

Usage::

    python tests/reliability/interrupts.py [--modes fork,thread] [--moments start,close] [--at call] [--every 1]
    python tests/reliability/interrupts.py --timer 400 [--modes fork,thread]

Ctrl-C, or the signal of a time limit on a test, raises an exception in the test's process: at any place where the
interpreter looks for signals. Here a signal comes at one point of what a client does, and at the next point when that
is done again, until all have been. The interpreter is told of it in a way that does not look for signals itself; so the
exception comes up just where it would for one from outside.

After that the client has to work, or to say why it does not; then it is closed, or only dropped, and nothing of it may
be there any more: no descriptor, process or thread, no lock and no filter of warnings.
"""

from __future__ import annotations

import argparse
import ctypes
import dis
import faulthandler
import gc
import os
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from time import monotonic, sleep
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

import requests

sys.path.append(str(Path(__file__).resolve().parents[2]))

import isoclient
from isoclient import TestClient
from isoclient.system import forks
from isoclient.system.lift import holders
from tests.reliability.bench import machine, print_table
from tests.reliability.plain_apps import plain

PACKAGE: Final = str(Path(isoclient.__file__).parent)
SIGNAL: Final = signal.SIGUSR1
MODES: Final[dict[str, dict[str, Any]]] = {
    "fork": {"isolated": True, "start_method": "fork"},
    "request": {"isolated": "request"},
    "thread": {"isolated": False},
    "forkserver": {"isolated": True, "start_method": "forkserver"},
    "template": {"isolated": True, "app": "tests.reliability.plain_apps:plain"},
    "spawn": {"isolated": True, "start_method": "spawn"},
}
_MOMENT: Final = 2.0  # seconds that the system may take to end what has been told to end
_HANGS: Final = 120  # seconds; a point takes a few milliseconds to some tenths of a second


class Interrupted(KeyboardInterrupt):
    """What the handler of the signal raises."""


class _Number(int):
    """The number of a signal. To look at ``now`` tells the interpreter that it has come.

    A property in C over a function in C: on the way back from either the interpreter does not look for signals.
    """

    now = property(ctypes.pythonapi.PyErr_SetInterruptEx)


class Interrupter:
    """Has a signal come at one point of what this thread does in a block.

    Args:
        number: which point, counted from 1; 0 for none, so that they are only counted.
        at: ``"line"`` for the beginning of each line, ``"call"`` for each call and each turn of a loop, which is where
            the interpreter looks for signals.
        everywhere: whether points are also in other code than ours.

    Attributes:
        seen: how many points there were.
        place: where it came.
        swallowed: whether the exception could not be raised to anybody, as in a finalizer.
    """

    def __init__(self, number: int, *, at: str = "line", everywhere: bool = False) -> None:
        self.seen = 0
        self.place: str | None = None
        self.raised = False
        self.swallowed = False
        self._number = number
        self._event = {"line": "line", "call": "opcode"}[at]
        self._prefix = "" if everywhere else PACKAGE
        self._signal = _Number(SIGNAL)

    def __enter__(self) -> Interrupter:
        self._handler = signal.signal(SIGNAL, self._raise)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._swallow
        self._trace_before = sys.gettrace()
        _current.append(self)
        sys.settrace(self._trace_call)
        return self

    def __exit__(self, *args: object) -> None:
        sys.settrace(self._trace_before)
        _current.remove(self)
        sys.unraisablehook = self._hook
        signal.signal(SIGNAL, self._handler)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
        raise Interrupted

    def _swallow(self, unraisable: Any) -> None:
        if unraisable.exc_type is Interrupted:
            self.swallowed = True
        else:
            self._hook(unraisable)

    def _trace_call(self, frame: FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(self._prefix) or code.co_filename == __file__:
            return None
        frame.f_trace_opcodes = self._event == "opcode"
        return self._trace

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == self._event and (event == "line" or frame.f_lasti in _calls(frame.f_code)):
            self.seen += 1
            if self.seen == self._number:
                self.place = f"{frame.f_code.co_filename.removeprefix(PACKAGE + '/')}:{frame.f_lineno}"
                sys.settrace(None)  # another event would call this function, which looks for signals as any does
                self._signal.now  # noqa: B018  # nothing that looks for signals may come after it
                return None
        return self._trace


_current: Final[list[Interrupter]] = []
os.register_at_fork(after_in_child=lambda: sys.settrace(None) if _current else None)


@cache
def _calls(code: CodeType) -> frozenset[int]:
    """Before which instructions a signal has to come, for the interpreter to look for signals in or after them."""
    return frozenset(
        instruction.offset
        for instruction in dis.get_instructions(code)
        if instruction.opname.startswith(("CALL", "JUMP_BACKWARD")) and instruction.opname != "CALL_INTRINSIC_1"
    )


# -- what a client does


def _start(client: TestClient) -> None:
    client.call(os.getpid)


def _enter(client: TestClient) -> None:
    client.__enter__()


def _request(client: TestClient) -> None:
    assert client.get("/").text == "alive"


def _stream(client: TestClient) -> None:
    with client.get("/", stream=True) as response:
        assert response.content == b"alive"


def _websocket(client: TestClient) -> None:
    with client.websocket_connect("/") as websocket:
        websocket.send_bytes(b"echo")
        assert websocket.receive_bytes() == b"echo"


def _call(client: TestClient) -> None:
    assert isinstance(client.call(os.getpid), int)


def _restart(client: TestClient) -> None:
    client.restart()


def _close(client: TestClient) -> None:
    client.close()


def _nothing(client: TestClient) -> None:
    pass


class Moment(NamedTuple):
    """What a client does when it is interrupted, and what it has done before."""

    before: Callable[[TestClient], None]
    doing: Callable[[TestClient], None]


MOMENTS: Final = {
    "start": Moment(_nothing, _start),
    "enter": Moment(_nothing, _enter),
    "request": Moment(_request, _request),
    "stream": Moment(_request, _stream),
    "websocket": Moment(_request, _websocket),
    "call": Moment(_request, _call),
    "restart": Moment(_enter, _restart),
    "close": Moment(_request, _close),
    "exit": Moment(_enter, _close),
    "drop": Moment(_request, _nothing),
}


# -- what there is


def _descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            target = os.readlink(f"/proc/self/fd/{name}").removeprefix("/memfd:").removesuffix(" (deleted)")
            found[target.partition(":[")[0]] += 1
    return found


def _descendants() -> Counter[str]:
    """How many processes come from this one, zombies included: where there is a fork server, its children too."""
    found: Counter[str] = Counter()
    level = [str(os.getpid())]
    while level:
        level = [child for pid in level for child in _children(pid)]
        found["process"] += len(level)
    return found


def _children(pid: str) -> list[str]:
    found = []
    with suppress(OSError):  # it ends while it is looked at
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += file.read().split()
    return found


def _is_free(lock: Any) -> bool:
    taken: list[bool] = []

    def take() -> None:
        taken.append(lock.acquire(timeout=_MOMENT))
        if taken[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return taken[0]


def holdings() -> Counter[str]:
    """What this process has, by kind."""
    found = _descriptors() + _descendants()
    found["thread"] = len(os.listdir("/proc/self/task"))
    found["filter of warnings"] = len(warnings.filters)
    found["holder of lifted patches"] = holders()
    return found


def _left_of(had: Counter[str]) -> Counter[str]:
    """What there is more than before, once the system has ended what it has been told to end."""
    end = monotonic() + _MOMENT
    while (left := holdings() - had) and monotonic() < end:
        sleep(0.005)
    return left


# -- points


class Point(NamedTuple):
    """What came of one interruption.

    Attributes:
        place: the line; None if there was no such point.
        came_up: how the exception came up: raised, swallowed or not at all.
        left: what stayed, by kind.
        reason: why the client did not work afterwards, if it did not.
    """

    place: str | None
    came_up: str
    left: Counter[str]
    reason: str


def interrupt(mode: str, moment: str, number: int, *, end: str, at: str = "line", everywhere: bool = False) -> Point:
    """Interrupt at this point, and see what stays when the client has been closed or dropped."""
    before, doing = MOMENTS[moment]
    _end_templates()
    gc.collect()
    had = holdings()
    client = TestClient(**{"app": plain, "timeout": 5, **MODES[mode]})
    interrupter = Interrupter(number, at=at, everywhere=everywhere)
    reason = ""
    try:
        before(client)
        try:
            with interrupter:
                doing(client)
                if moment == "drop":
                    del client
        except Interrupted:
            pass
        if moment != "drop":
            reason = _why_not(client)
            if end == "close":
                client.close()
    finally:
        client = None  # type: ignore[assignment]
    gc.collect()
    _end_templates()
    left = _left_of(had)
    if not _is_free(forks.start_lock()):
        left["start lock"] = 1
    came_up = "swallowed" if interrupter.swallowed else "raised" if interrupter.raised else "not at all"
    return Point(interrupter.place, came_up, left, reason)


def _end_templates() -> None:
    """They last, for others."""
    launch = sys.modules.get("isoclient.process.launch")
    if launch is not None:
        launch.templates.close()


def _why_not(client: TestClient) -> str:
    """Empty if the client works. One that says why it does not has to work the next time."""
    try:
        _request(client)
    except requests.RequestException as error:
        _request(client)
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return ""


def points(
    mode: str, moment: str, *, end: str, every: int = 1, at: str = "line", everywhere: bool = False
) -> Iterator[Point]:
    """Interrupt at each point, or at one of so many."""
    for _ in range(2):  # what is imported or started at the first use comes now
        interrupt(mode, moment, 0, end=end)
    number = every // 2 + 1
    gc.collect()
    gc.freeze()  # so that the collector is quick
    try:
        while (point := _timed(mode, moment, number, end=end, at=at, everywhere=everywhere)).place is not None:
            yield point
            number += every
    finally:
        gc.unfreeze()


def _timed(mode: str, moment: str, number: int, *, end: str, at: str, everywhere: bool) -> Point:
    faulthandler.dump_traceback_later(_HANGS, exit=True)
    try:
        return interrupt(mode, moment, number, end=end, at=at, everywhere=everywhere)
    finally:
        faulthandler.cancel_dump_traceback_later()


@dataclass
class Tally:
    """What has come of all points of one kind."""

    points: int = 0
    leaking: int = 0
    swallowed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, point: Point) -> None:
        self.points += 1
        self.leaking += bool(point.left)
        self.swallowed += point.came_up == "swallowed"
        self.kinds.update(point.left.keys())
        if point.reason:
            self.reasons[point.reason.partition(":")[0]] += 1

    def row(self) -> list[object]:
        return [self.points, self.leaking, self.swallowed, _counts(self.reasons), _counts(self.kinds)]


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in found.most_common()) or "-"


def tally(mode: str, moment: str, end: str, *, every: int, at: str, everywhere: bool) -> Tally:
    """Interrupt at each point, or at some; show those that leave something right away."""
    found = Tally()
    for point in points(mode, moment, end=end, every=every, at=at, everywhere=everywhere):
        found.add(point)
        if point.left:
            print(mode, moment, end, point.place, point.came_up, dict(point.left), file=sys.stderr, flush=True)
    print(mode, moment, end, *found.row(), file=sys.stderr, flush=True)
    return found


def starts_under_a_timer(mode: str, count: int) -> Counter[str]:
    """Start so many clients, each of them interrupted at a random moment, in whatever code; return what stays."""
    random = Random(mode)
    interrupt(mode, "start", 0, end="drop")
    begin = monotonic()
    interrupt(mode, "start", 0, end="drop")
    longest = monotonic() - begin
    had = holdings()
    handler = signal.signal(signal.SIGALRM, _raise_interrupted)
    try:
        for _ in range(count):
            client = TestClient(**{"app": plain, "timeout": 5, **MODES[mode]})
            with suppress(Interrupted):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, longest))
                    _start(client)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, handler)
        client = None  # type: ignore[assignment]
    gc.collect()
    _end_templates()
    return _left_of(had)


def _raise_interrupted(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def main() -> int:
    parser = argparse.ArgumentParser(description="Interrupt clients at every point, and count what stays.")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--moments", default=",".join(MOMENTS))
    parser.add_argument("--ends", default="close,drop", help="what becomes of the client: close, drop")
    parser.add_argument("--at", default="line", choices=("line", "call"))
    parser.add_argument("--everywhere", action="store_true", help="also in the code of others that ours calls")
    parser.add_argument("--every", type=int, default=1, help="take one point of so many")
    parser.add_argument("--timer", type=int, default=0, help="instead: so many starts under a random timer")
    options = parser.parse_args()
    modes = options.modes.split(",")
    if options.timer:
        print(f"{machine()}; {options.timer} starts of each mode, interrupted at a random moment")
        stays = {mode: starts_under_a_timer(mode, options.timer) for mode in modes}
        print_table(("mode", "what stayed"), [[mode, _counts(left)] for mode, left in stays.items()])
        return any(stays.values())
    print(f"{machine()}; a signal at each {options.at}" + (", of others' code too" if options.everywhere else ""))
    found = {
        (mode, moment, end): tally(mode, moment, end, every=options.every, at=options.at, everywhere=options.everywhere)
        for mode in modes
        for moment in options.moments.split(",")
        for end in (options.ends.split(",") if moment != "drop" else ["drop"])
    }
    head = ("mode", "interrupted in", "then", "points", "leak", "swallowed", "said why not", "what stayed")
    print_table(head, [[*names, *each.row()] for names, each in found.items()])
    leaking = sum(each.leaking for each in found.values())
    print(f"\n{sum(each.points for each in found.values())} points, {leaking} left something")
    return leaking > 0


if __name__ == "__main__":
    sys.exit(main())
