"""The plot of the bars, drawn from ``performance.json``.

Usage::

    python -m tests.benchmarks.plot docs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "isoclient"  # the same data make the same file

from matplotlib import pyplot  # noqa: E402  # after the back end is chosen

_MET, _MISSED = "#3a7d44", "#c0392b"


def draw(data: dict[str, Any], target: Path) -> None:
    """Draw each ratio beside its bar, and below them how costs grow."""
    curves = data["curves"]
    figure, places = pyplot.subplot_mosaic(
        [["rows"] * max(1, len(curves)), [curve["title"] for curve in curves] or ["rows"]],
        figsize=(11, 11),
        height_ratios=[3, 1],
        layout="constrained",
    )
    _draw_rows(places["rows"], [row for row in data["rows"] if row["bar"] is not None])
    for curve in curves:
        _draw_curve(places[curve["title"]], curve)
    figure.savefig(target, metadata={"Date": None})


def _draw_rows(axes: Any, rows: list[dict[str, Any]]) -> None:
    names = [row["what"] for row in rows]
    costs = [_share_of_bar(row) for row in rows]
    axes.barh(names, costs, color=[_MET if row["met"] else _MISSED for row in rows])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(0, 2.5)  # what is further off goes out of the picture; the table has the figure
    axes.invert_yaxis()
    axes.set_xlabel("share of what the bar allows: left of the line it is met")


def _share_of_bar(row: dict[str, Any]) -> float:
    share: float = row["bar"] / row["value"] if row["least"] else row["value"] / row["bar"]
    return share


def _draw_curve(axes: Any, curve: dict[str, Any]) -> None:
    for name, points in curve["lines"].items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(title=curve["title"], xlabel=curve["x"], ylabel=curve["y"])
    axes.set_ylim(bottom=0)
    if len(curve["lines"]) > 1:
        axes.legend()


def draw_file(directory: Path) -> None:
    """Draw the ``performance.json`` of a directory beside it."""
    draw(json.loads((directory / "performance.json").read_text()), directory / "performance-bars.svg")


if __name__ == "__main__":
    draw_file(Path(sys.argv[1]))
