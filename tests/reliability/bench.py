"""What the scripts have in common: processes that make load, and tables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

_BUSY = "import os\nwhile os.getppid() == {0}: sum(range(100_000))"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute; they end with this one, however it ends."""
    processes = [subprocess.Popen([sys.executable, "-c", _BUSY.format(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns, aligned."""
    table = [[str(field) for field in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, row in enumerate(table):
        print("  ".join(field.ljust(width) for field, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def milliseconds(times: Sequence[float]) -> tuple[str, str]:
    """The median and the worst of times in seconds, as text."""
    if not times:
        return "-", "-"
    return f"{median(times) * 1000:.1f}", f"{max(times) * 1000:.1f}"


def machine() -> str:
    """What the figures were measured on."""
    load = os.getloadavg()[0]
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, load average {load:.1f} at the start"


def run_script(name: str, *arguments: str) -> str:
    """Run a script of this directory, and return what it prints; it has to succeed."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / name), *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
