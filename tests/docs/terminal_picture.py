"""A picture of a terminal, as SVG: text that a browser draws, sharp at any size."""

from __future__ import annotations

from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from tests.docs.shown import Line, Style, plain

__all__ = ["draw"]

_CHAR, _ROW, _EDGE, _BAR = 8.4, 19, 14, 30
_COLORS = {31: "#ff8b82", 32: "#7ee08a", 33: "#f2cc60", 34: "#8ab4ff", 35: "#e3a6ff", 36: "#76dce6"}
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def draw(lines: list[Line], width: int, title: str) -> str:
    """The picture of a terminal so many characters wide, in which these lines are."""
    rows = [row for line in lines for row in _wrapped(line, width)]
    across = round(width * _CHAR + 2 * _EDGE)
    down = _BAR + len(rows) * _ROW + _EDGE
    dots = "".join(f'<circle cx="{20 + 18 * at}" cy="15" r="5.5" fill="#4b5563"/>' for at in range(3))
    texts = "".join(_row(row, _BAR + (at + 1) * _ROW - 5) for at, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" role="img" '
        f"aria-label={quoteattr(title)}>\n"
        f'<rect width="{across}" height="{down}" rx="9" fill="#161b22"/>{dots}\n'
        f'<g font-family="{_FONT}" font-size="14" fill="#e6edf3">\n{texts}</g>\n</svg>\n'
    )


def _wrapped(line: Line, width: int) -> list[Line]:
    return [line[at : at + width] for at in range(0, len(line), width)] or [line]


def _row(row: Line, y: int) -> str:
    spans = []
    column = 0
    for style, chars in groupby(row, key=lambda cell: cell[1]):
        part = list(chars)
        text = plain(part)
        if text.strip():
            spans.append(_span(text, style, column))
        column += len(part)
    return f'<text y="{y}">{"".join(spans)}</text>\n' if spans else ""


def _span(text: str, style: Style, column: int) -> str:
    start = len(text) - len(text.lstrip())
    shown = text.strip().replace(" ", "\N{NO-BREAK SPACE}")  # of several spaces, a browser would draw one
    color = next((f' fill="{_COLORS[code]}"' for code in sorted(style) if code in _COLORS), "")
    bold = ' font-weight="bold"' if 1 in style else ""
    x, length = _EDGE + (column + start) * _CHAR, len(shown) * _CHAR
    return f'<tspan x="{x:.1f}" textLength="{length:.1f}"{color}{bold}>{escape(shown)}</tspan>'
