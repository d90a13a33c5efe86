"""The whole death matrix: every mode x moment x start method, in rounds, under load if that is asked for.

Usage::

    python tests/reliability/matrix.py [--rounds 20] [--load 2] [--jobs 4]

It prints what came of it, and the times, and fails if any cell did not end as it had to, within its bound.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient.process.app_process import EXTENSIONS, AppProcess
from tests.reliability.bench import busy_processes, machine, milliseconds, print_table
from tests.reliability.death import METHODS, MODES, MOMENTS, Cell, Ending, Result, cells, ending, senseless
from tests.reliability.playing import play

_ROUND: Final = 4 * 3600.0  # seconds; a round takes a quarter of an hour, and more the more else there is to do
_SHORT = {
    "fine": "ok",
    "raised": "raised",
    "crashed": "crash",
    "timeout": "hang",
    "startup": "start",
    "forced": "forced",
    "limit": "limit",
}


def _quiet() -> None:
    # For what the dying apps print; it lasts as long as the process.
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _play(cell: Cell) -> Result:
    """In a process of the pool: whatever happens is a result."""
    try:
        result = play(cell)
    except BaseException as error:
        return Result(cell, f"{type(error).__name__}: {error}", 0.0)
    bound = cell.bound + _extension(cell)
    if not result.wrong and result.seconds > bound:
        return result._replace(wrong=f"it took {result.seconds:.3f} s, beyond its bound of {bound:g} s")
    return result


def _extension(cell: Cell) -> float:
    """How many seconds more an app may take at its end, for it gets them where it gets too little of a processor."""
    is_starved = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    return EXTENSIONS * AppProcess.grace if cell.moment == "exit" and cell.hangs and is_starved else 0.0


def _run(rounds: int, jobs: int, chosen: list[Cell]) -> list[Result]:
    results: list[Result] = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        for number in range(rounds):
            for result in pool.map(_play, chosen, timeout=_ROUND):
                results.append(result)
                if result.wrong:
                    print(f"WRONG in round {number + 1}: {', '.join(result.cell)}: {result.wrong}", flush=True)
    return results


def _print_outcomes(results: list[Result]) -> None:
    wrong = Counter((result.cell.mode, result.cell.moment) for result in results if result.wrong)
    rows = []
    for mode in MODES:
        row = [mode]
        for moment in MOMENTS:
            expected = ending(mode, moment)
            text = _SHORT[expected.kind] if isinstance(expected, Ending) else "-"
            count = wrong[mode, moment]
            row.append(f"{text} {count}!" if count else text)
        rows.append(row)
    print_table(("mode", *MOMENTS), rows)
    print("\nNot there:")
    for mode, moment, reason in senseless():
        print(f"  {mode} at {moment}: {reason}")


def _print_times(results: list[Result]) -> None:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        expected = result.cell.ending
        if isinstance(expected, Ending):
            column = "hang" if result.cell.hangs else "crashed" if expected.kind == "limit" else expected.kind
            times[result.cell.moment, column].append(result.seconds)
            if not result.cell.starts and result.cell.moment not in ("shutdown", "exit"):
                times["(while it runs)", column].append(result.seconds)
    columns = ("raised", "crashed", "hang")
    rows = []
    for moment in ("(while it runs)", *MOMENTS):
        rows.append([moment, *(text for column in columns for text in milliseconds(times[moment, column]))])
    print("\nMilliseconds to the error, median and worst; of hangs, beyond the deadline.")
    print("At import and startup, the start of the process is in them; at shutdown and exit, its end.")
    print_table(("moment", *(f"{column} {what}" for column in columns for what in ("median", "worst"))), rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the whole death matrix.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--load", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--jobs", type=int, default=1, help="cells at the same time; more make it faster, and loaded")
    parser.add_argument("--only", default="", help="modes, moments or start methods, separated by commas")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    chosen = [cell for cell in cells() if not only or only & set(cell)]
    print(f"{machine()}; {options.rounds} rounds, {options.load} busy processes, {options.jobs} at a time")
    began = monotonic()
    with busy_processes(options.load):
        results = _run(options.rounds, options.jobs, chosen)
    _print_outcomes(results)
    _print_times(results)
    wrong = sum(bool(result.wrong) for result in results)
    print(f"\n{len(results)} cells ({len(METHODS)} start methods) in {monotonic() - began:.0f} s, {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
