"""How everything here is measured: cases in turn, round after round, and ratios within a round.

An absolute time is worth little on a machine that others use too. What slows one round down slows all of its cases
down, so each ratio is taken within a round, and the result is the median of those.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from platform import machine
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple

from tests.benchmarks.footprint import Footprint

__all__ = [
    "Case",
    "Effort",
    "Row",
    "Run",
    "Samples",
    "alternate",
    "calling",
    "describe_machine",
    "run_process",
    "timed",
    "using",
]

Case = Callable[[], float]
"""Does its work once, and returns what that cost: seconds per call, or megabytes, or whatever its row compares."""


@dataclass(frozen=True)
class Effort:
    """How much of it is done.

    Args:
        rounds: of each comparison.
        scale: what the numbers of calls are multiplied by.
    """

    rounds: int
    scale: float

    def calls(self, count: int) -> int:
        """So many, or fewer in a quick run."""
        return max(1, round(count * self.scale))

    def few(self, least: int = 3) -> int:
        """Rounds of what takes long."""
        return max(least, self.rounds // 2)


FULL: Final = Effort(rounds=15, scale=1.0)
QUICK: Final = Effort(rounds=5, scale=0.2)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: is compared, in words.
        value: the ratio, or the figure.
        bar: what it must not exceed; None for one that is only shown.
        least: whether the bar is what it must reach instead.
        unit: of value and bar; none for a ratio.
        detail: the figures behind it.
    """

    what: str
    value: float
    bar: float | None = None
    least: bool = False
    unit: str = ""
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        if self.bar is None:
            return True
        return (self.value >= self.bar) if self.least else (self.value <= self.bar)


class Samples:
    """What each case cost in each round.

    Example:
        >>> samples = Samples({"ours": [1.0, 2.0, 3.0], "theirs": [2.0, 4.0, 4.0]})
        >>> samples.ratio("ours", "theirs")
        0.5
    """

    def __init__(self, costs: Mapping[str, Sequence[float]]) -> None:
        self._costs = costs

    def ratio(self, ours: str, *theirs: str) -> float:
        """The median of the rounds' ratios; several of theirs are added up."""
        rounds = zip(self._costs[ours], *(self._costs[name] for name in theirs), strict=True)
        ratios = [first / sum(others) for first, *others in rounds]
        return float(median(ratios))

    def median(self, name: str) -> float:
        """The median cost of a case."""
        return median(self._costs[name])

    def microseconds(self, *names: str) -> str:
        """The medians of these cases, as text."""
        return ", ".join(f"{name} {self.median(name) * 1e6:,.0f} µs" for name in names)

    def milliseconds(self, *names: str) -> str:
        """The same for what takes longer."""
        return ", ".join(f"{name} {self.median(name) * 1e3:,.1f} ms" for name in names)


def alternate(cases: Mapping[str, Case], rounds: int) -> Samples:
    """Run all cases in turn, so many rounds, each in the reverse order of the one before."""
    costs: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()  # what is done once only: connections, caches, imports
    for number in range(rounds):
        gc.collect()  # what one case left to the collector is not paid by the next
        for name in list(cases) if number % 2 else reversed(list(cases)):
            costs[name].append(cases[name]())
    return Samples(costs)


def calling(call: Callable[[], object], count: int) -> Case:
    """A case that makes so many calls, and costs what one of them takes, in seconds."""

    def case() -> float:
        began = perf_counter()
        for _ in range(count):
            call()
        return (perf_counter() - began) / count

    return case


def timed(work: Callable[[], object]) -> Case:
    """A case that does one thing, and costs what that takes, in seconds."""
    return calling(work, 1)


def using(call: Callable[[], object], count: int, *others: int) -> Case:
    """A case that costs CPU time: that of this process, and of the others."""
    clocks = [time.CLOCK_PROCESS_CPUTIME_ID, *map(_cpu_clock, others)]

    def case() -> float:
        began = sum(map(time.clock_gettime, clocks))
        for _ in range(count):
            call()
        return (sum(map(time.clock_gettime, clocks)) - began) / count

    return case


def _cpu_clock(pid: int) -> int:
    """The CPU clock of another process, as Linux numbers it (``clock_getcpuclockid``)."""
    return (~pid << 3) | 2


class Run(NamedTuple):
    """How a process ran.

    Attributes:
        seconds: how long.
        megabytes: how much memory it has had at most, by itself.
        exitcode: its exit code, or the negative number of a signal.
        output: what it has printed, errors too.
    """

    seconds: float
    megabytes: float
    exitcode: int
    output: str


def run_process(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    limit: float = 1800.0,
    footprint: Footprint | None = None,
) -> Run:
    """Run a process to its end, which comes by force after so many seconds, or if this is interrupted.

    Args:
        command: it, with its arguments.
        cwd: where it runs.
        env: what its environment has beside that of this process.
        limit: in seconds.
        footprint: what is to look at the memory of its session, which is one of its own then.
    """
    with tempfile.TemporaryFile() as output:
        began = perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=footprint is not None,
        )
        with footprint.watching(process.pid) if footprint else nullcontext():
            status, usage = _wait(process.pid, limit)
        seconds = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, process.returncode, output.read().decode(errors="replace"))


def _wait(pid: int, limit: float) -> tuple[int, resource.struct_rusage]:
    timer = threading.Timer(limit, os.kill, (pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
    return status, usage


def describe_machine() -> str:
    """What it was measured on."""
    version = sys.version.split()[0]
    return f"Python {version}, {sys.platform} {machine()}, {os.cpu_count()} processors"
