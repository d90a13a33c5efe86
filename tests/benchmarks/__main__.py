"""Measure isoclient and its peers in one run, and print one table.

Usage::

    python -m tests.benchmarks [--quick] [--only NAME ...] [--write DIRECTORY]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import (
    bodies,
    growth,
    isolating,
    lasting,
    memory,
    report,
    small,
    sockets,
    starting,
    suites,
    threads,
    waiting,
)
from tests.benchmarks.harness import FULL, QUICK, Effort, Row, describe_machine

_FAMILIES = {
    "starting": starting,  # first: the process is then as small as that of a suite that begins
    "memory": memory,
    "small": small,
    "sockets": sockets,
    "bodies": bodies,
    "threads": threads,
    "waiting": waiting,
    "isolating": isolating,
    "lasting": lasting,
    "suites": suites,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure isoclient and its peers.")
    parser.add_argument("--quick", action="store_true", help="a rough look, for development")
    parser.add_argument("--only", nargs="+", choices=_FAMILIES, default=list(_FAMILIES), help="some families of rows")
    parser.add_argument("--write", type=Path, help="where to write performance.json and what is made of it")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    machine = f"{describe_machine()}, load average {os.getloadavg()[0]:.1f} at the start"
    print(machine, flush=True)
    rows = list(_rows(options.only, effort))
    report.print_table(rows)
    if options.write is not None:
        report.write(options.write, machine, rows, list(growth.curves(effort)))
        from tests.benchmarks import overview
        from tests.benchmarks.plot import draw_file

        draw_file(options.write)
        overview.write(options.write)
    return 0


def _rows(names: list[str], effort: Effort) -> Iterator[Row]:
    for name in names:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        yield from _FAMILIES[name].measure(effort)


if __name__ == "__main__":
    sys.exit(main())
