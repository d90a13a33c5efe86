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
_LITESTAR: Final = "Litestar's TestClient"
_ASYNC: Final = "async-asgi-testclient"
_SHOP: Final = "the shop's suite, {} / Starlette"
_EACH: Final = ", fresh for every test"


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
        """The figures behind a ratio, in milliseconds; none if it was not measured."""
        detail = self._rows[what]["detail"] if what in self._rows else ""
        found = re.findall(r"(?:^|, )(\D.*?) ([\d,.]+) (µs|ms)(?=, |$)", detail)
        return {name: float(value.replace(",", "")) / (1000 if unit == "µs" else 1) for name, value, unit in found}

    def group(self, title: str, asked: dict[str, tuple[str, str]], *, parts: int = 1) -> Group:
        """The bars of those who were measured, the shortest first.

        Args:
            title: of the group.
            asked: the name of each bar, with its row and with what its figure is called there.
            parts: how many things a figure is the cost of, if it is to be that of one.
        """
        found = {name: self.behind(what).get(case) for name, (what, case) in asked.items()}
        bars = [Bar(name, figure / parts) for name, figure in found.items() if figure is not None]
        return Group(title, sorted(bars, key=lambda bar: bar.milliseconds))


def _groups(rows: _Rows) -> Iterator[Group]:
    gets = {
        _ISOLATED: ("isolated GET / Starlette", "isolated"),
        _ALONE: ("in-process GET / Starlette", "in-process"),
        _STARLETTE: ("isolated GET / Starlette", "Starlette"),
        _LITESTAR: ("isolated GET / Litestar", "Litestar"),
        _ASYNC: ("isolated GET / async-asgi-testclient", "async-asgi-testclient"),
        "uvicorn, asked by requests": ("isolated GET / uvicorn", "uvicorn"),
    }
    yield rows.group("One GET", gets)
    echoes = {
        _ISOLATED: ("WebSocket echo, isolated / Starlette", "isolated"),
        _ALONE: ("WebSocket echo, in-process / Starlette", "in-process"),
        _STARLETTE: ("WebSocket echo, isolated / Starlette", "Starlette"),
        _LITESTAR: ("WebSocket echo, isolated / Litestar", "Litestar"),
        _ASYNC: ("WebSocket echo, isolated / async-asgi-testclient", "async-asgi-testclient"),
        "uvicorn, asked by websockets": ("WebSocket echo, isolated / uvicorn", "uvicorn"),
    }
    yield rows.group("One WebSocket message, there and back", echoes)
    fresh = "fresh app by fork / a uvicorn of its own"
    started = {_ISOLATED: (fresh, "isolated"), "uvicorn": (fresh, "uvicorn")}
    yield rows.group("A fresh FastAPI app with 50 routes: start, one GET, end", started)
    yield rows.group(f"One test of a suite of {TESTS}, one app for all", _suites(""), parts=TESTS)
    yield rows.group(f"One test of a suite of {TESTS}, an app for each test", _suites(_EACH), parts=TESTS)


def _suites(each: str) -> dict[str, tuple[str, str]]:
    runs = {
        _ISOLATED: "isolated",
        _ALONE: "isoclient in-process",
        _LITESTAR: "Litestar",
        _ASYNC: "async-asgi-testclient",
        _STARLETTE: "in-process",
    }
    asked = {name: (_SHOP.format(run + each), run + each) for name, run in runs.items()}
    # What the others are compared with has no row of its own.
    return asked if each else asked | {_STARLETTE: (_SHOP.format("isolated"), "in-process")}


def _claims(rows: _Rows) -> str:
    """What the landing page says."""
    get = rows.behind("isolated GET / Starlette")
    fresh = rows.behind("fresh app by fork / a uvicorn of its own")
    shared, own = rows.behind(_SHOP.format("isolated")), rows.behind(_SHOP.format(f"isolated{_EACH}"))
    return (
        f"- **A GET takes {get['isolated']:.2f} ms**, between two processes; with Starlette's `TestClient`, in one "
        f"process, {get['Starlette']:.2f} ms.\n"
        f"- **A fresh copy of a FastAPI app** with 50 routes is started, asked and ended **in "
        f"{fresh['isolated']:.0f} ms**; a uvicorn of its own takes {fresh['uvicorn']:.0f} ms.\n"
        f"- **A suite of {TESTS} tests** takes {shared['isolated'] / 1000:.1f} s with its app isolated, "
        f"{shared['in-process'] / 1000:.1f} s with Starlette's client, and "
        f"{own[f'isolated{_EACH}'] / 1000:.1f} s with a fresh app for every test.\n"
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
    groups = [group for group in _groups(rows) if group.bars]
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
