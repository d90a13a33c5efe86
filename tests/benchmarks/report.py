"""What was measured, as a table, as JSON and as a table for the docs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.growth import Curve
from tests.benchmarks.harness import Row

__all__ = ["as_line", "print_table", "write"]

_HEAD = ("what", "measured", "bar", "", "behind it")


def as_line(row: Row) -> tuple[str, str, str, str, str]:
    """The fields of a line of the table."""
    if row.bar is None:
        return row.what, _number(row.value, row.unit), "", "", row.detail
    bar = f"{'≥' if row.least else '≤'} {_number(row.bar, row.unit)}"
    return row.what, _number(row.value, row.unit), bar, "pass" if row.met else "miss", row.detail


def _number(value: float, unit: str) -> str:
    return f"{value:.{1 if unit else 3 if value < 0.1 else 2}f}{unit}"


def print_table(rows: Iterable[Row]) -> None:
    """Print all lines, aligned."""
    lines: list[Sequence[str]] = [_HEAD, *map(as_line, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("  ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)).rstrip())


def write(directory: Path, machine: str, rows: Sequence[Row], curves: Sequence[Curve]) -> None:
    """Write ``performance.json``, and ``performance-table.md``, which the docs include."""
    data: dict[str, Any] = {
        "machine": machine,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
        "curves": [curve._asdict() for curve in curves],
    }
    (directory / "performance.json").write_text(json.dumps(data, indent=1) + "\n")
    (directory / "performance-table.md").write_text(_markdown(machine, rows))


def _markdown(machine: str, rows: Iterable[Row]) -> str:
    head = ["| what | measured | bar | | behind it |", "|---|---|---|---|---|"]
    return (
        "\n".join([f"Measured on {machine}.", "", *head, *(f"| {' | '.join(as_line(row))} |" for row in rows)]) + "\n"
    )
