"""What users compare: milliseconds for a request, a message, a fresh app and a test, beside other clients.

Usage, to make it anew of the ``performance.json`` of a directory::

    python -m tests.benchmarks.overview docs
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

__all__ = ["TESTS", "files", "write"]

TESTS: Final = 112
"""How many the suite of the shop has."""

_ISOLATED: Final = "isoclient, isolated"
_ALONE: Final = "isoclient, in-process"
_STARLETTE: Final = "Starlette's TestClient"
_SHOP: Final = "the shop's suite, {} / Starlette"


class Bar(NamedTuple):
    """One client's figure, in milliseconds."""

    name: str
    milliseconds: float

    @property
    def ours(self) -> bool:
        return self.name.startswith("isoclient")

    @property
    def text(self) -> str:
        return f"{self.milliseconds:.3g} ms" if self.milliseconds < 100 else f"{self.milliseconds:.0f} ms"


class Group(NamedTuple):
    """What is compared, and the figures of those who were measured."""

    title: str
    bars: list[Bar]


class _Rows:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = {row["what"]: row for row in rows}

    def behind(self, what: str) -> dict[str, float]:
        """The figures behind a ratio, in milliseconds."""
        found = re.findall(r"(?:^|, )(\D.*?) ([\d,.]+) (µs|ms)(?=, |$)", self._rows[what]["detail"])
        return {name: float(value.replace(",", "")) / (1000 if unit == "µs" else 1) for name, value, unit in found}

    def value(self, what: str) -> float:
        return float(self._rows[what]["value"])


def _groups(rows: _Rows) -> Iterator[Group]:
    starlette = rows.behind("isolated GET / Starlette")
    gets = [
        Bar("async-asgi-testclient", rows.behind("isolated GET / async-asgi-testclient")["async-asgi-testclient"]),
        Bar(_ISOLATED, starlette["isolated"]),
        Bar(_ALONE, rows.behind("in-process GET / Starlette")["in-process"]),
        Bar("Litestar's TestClient", rows.behind("isolated GET / Litestar")["Litestar"]),
        Bar("uvicorn, asked by requests", rows.behind("isolated GET / uvicorn")["uvicorn"]),
        Bar(_STARLETTE, starlette["Starlette"]),
    ]
    yield Group("One GET", gets)
    echo = rows.behind("WebSocket echo, isolated / Starlette")
    yield Group(
        "One WebSocket message, there and back", [Bar(_ISOLATED, echo["isolated"]), Bar(_STARLETTE, echo["Starlette"])]
    )
    fresh = rows.behind("fresh app by fork / a uvicorn of its own")
    yield Group(
        "A fresh FastAPI app with 50 routes: start, one GET, end",
        [Bar(_ISOLATED, fresh["isolated"]), Bar("uvicorn", fresh["uvicorn"])],
    )
    shared, own = rows.behind(_SHOP.format("isolated")), rows.behind(_SHOP.format("isolated, fresh for every test"))
    alone = rows.behind(_SHOP.format("in-process, fresh for every test"))
    suites = [
        Bar(f"{_STARLETTE}, one app for all", shared["in-process"]),
        Bar("isoclient, isolated, one app for all", shared["isolated"]),
        Bar(f"{_STARLETTE}, one for each", alone["in-process, fresh for every test"]),
        Bar("isoclient, isolated, one for each", own["isolated, fresh for every test"]),
    ]
    per_test = [Bar(name, milliseconds / TESTS) for name, milliseconds in suites]
    yield Group(f"One test of a suite of {TESTS}, all included", per_test)


def _claims(rows: _Rows) -> str:
    """What the landing page says."""
    get = rows.behind("isolated GET / Starlette")
    fresh = rows.behind("fresh app by fork / a uvicorn of its own")
    shared, own = rows.behind(_SHOP.format("isolated")), rows.behind(_SHOP.format("isolated, fresh for every test"))
    return (
        f"- **A GET takes {get['isolated']:.2f} ms**, between two processes; with Starlette's `TestClient`, in one "
        f"process, {get['Starlette']:.2f} ms.\n"
        f"- **A fresh copy of a FastAPI app** with 50 routes is started, asked and ended **in "
        f"{fresh['isolated']:.0f} ms**; a uvicorn of its own takes {fresh['uvicorn']:.0f} ms.\n"
        f"- **A suite of {TESTS} tests** takes {shared['isolated'] / 1000:.1f} s with its app isolated, "
        f"{shared['in-process'] / 1000:.1f} s with Starlette's client, and "
        f"{own['isolated, fresh for every test'] / 1000:.1f} s with a fresh app for every test.\n"
    )


def _table(groups: list[Group], machine: str) -> str:
    lines = [f"Measured on {machine}.", "", "| what | with | takes |", "|---|---|---|"]
    for group in groups:
        for at, bar in enumerate(group.bars):
            figure = bar.text.replace(" ", "\N{NO-BREAK SPACE}")
            lines.append(f"| {group.title if at == 0 else ''} | {bar.name} | {figure} |")
    return "\n".join(lines) + "\n"


_STYLE: Final = """
text { font: 17px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #1f2933 }
.card { fill: #ffffff; stroke: #cbd5e1 }
.title { font-size: 22px; font-weight: 600 }
.head { font-weight: 600 }
.ours { fill: #0f766e }
.theirs { fill: #8795a5 }
@media (prefers-color-scheme: dark) {
 text { fill: #e6edf3 } .card { fill: #161b22; stroke: #3d4757 } .ours { fill: #2dd4bf } .theirs { fill: #6b7785 }
}
"""
_WIDTH, _EDGE, _ROOM = 600, 24, 440
_TITLE: Final = "What it takes, in milliseconds: less is better"


def _draw(groups: list[Group]) -> str:
    """The plot: the name of each bar is above it, so that there is room for both on a phone."""
    parts = [f'<text class="title" x="{_EDGE}" y="42">{_TITLE}</text>']
    y = 84
    for group in groups:
        parts.append(f'<text class="head" x="{_EDGE}" y="{y}">{escape(group.title)}</text>')
        longest = max(bar.milliseconds for bar in group.bars)
        for bar in group.bars:
            length = max(3.0, _ROOM * bar.milliseconds / longest)
            kind = "ours" if bar.ours else "theirs"
            parts += [
                f'<text x="{_EDGE}" y="{y + 28}">{escape(bar.name)}</text>',
                f'<rect class="{kind}" x="{_EDGE}" y="{y + 36}" width="{length:.1f}" height="16" rx="3"/>',
                f'<text class="head" x="{_EDGE + length + 10:.1f}" y="{y + 50}">{bar.text}</text>',
            ]
            y += 52
        y += 40
    height = y - 12
    card = f'<rect class="card" x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="12"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_TITLE}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", card, *parts, "</svg>"]) + "\n"


def files(data: dict[str, Any]) -> dict[str, str]:
    """What is made of a ``performance.json``, by the names of the files."""
    rows = _Rows(data["rows"])
    groups = list(_groups(rows))
    return {
        "performance.svg": _draw(groups),
        "performance-claims.md": _claims(rows),
        "performance-figures.md": _table(groups, data["machine"]),
    }


def write(directory: Path) -> None:
    """Write them beside it."""
    data = json.loads((directory / "performance.json").read_text(encoding="utf-8"))
    for name, text in files(data).items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
