"""A terminal's lines, without what differs from one run, machine or version to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

__all__ = ["Line", "Style", "as_shown", "lines_of", "plain"]

Style: TypeAlias = frozenset[int]
"""The codes of ECMA-48 that are in force: 1 is bold, 31 is red, and so on."""
Line: TypeAlias = list[tuple[str, Style]]
"""Characters, each with its style."""

_CODE = re.compile(r"\x1b\[([\d;]*)m")
_RULER = re.compile(r"([=_-])\1* (.+?) \1+$")
_THREAD_NAME = re.compile(r"((?:Current thread|Thread) 0x\w+) \[.*?\]")
_SAME = [
    (re.compile(r"(?<=\bpid )\d+"), "4711"),
    (re.compile(r"\b0x[0-9a-f]{6,}"), "0x00007f6f97e47b80"),
    (re.compile(r"\d+\.\d+s\b(?: \(\d+:\d\d:\d\d\))?"), "0.31s"),
    (_THREAD_NAME, r"\1"),
]
_LIBRARY_FRAME = re.compile(
    r'(?P<prefix>E? *)File "[^"]*/(?:site-packages|lib/python3[^"/]*)/|(?P<frozen>E? *)File "<frozen'
)
_HEADER = re.compile(r"platform |rootdir: |configfile: |plugins: |cachedir: |Extension modules: |$")
_MARKS = re.compile(r"(?:E +| *)[~^]+ *$")  # below an expression; each Python has them for more of these
_C_STACK = re.compile(r"(?:E +| *)(?:Current thread's C stack trace|<cannot get C stack|Binary file \")")


def lines_of(text: str) -> list[Line]:
    """The lines of a text that may have codes for colours in it."""
    lines: list[Line] = []
    style: Style = frozenset()
    for source in text.splitlines():
        line: Line = []
        at = 0
        for code in _CODE.finditer(source):
            line += [(char, style) for char in source[at : code.start()]]
            style = _after(style, code[1])
            at = code.end()
        lines.append(line + [(char, style) for char in source[at:]])
    return lines


def _after(style: Style, codes: str) -> Style:
    for code in map(int, codes.split(";") if codes else ["0"]):
        if code == 0:
            style = frozenset()
        elif code < 30:  # bold and its like, beside a colour
            style = style | {code}
        else:
            style = frozenset({*(other for other in style if other < 30), code} - {39})
    return style


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(char for char, _ in line)


def as_shown(lines: Iterable[Line], directory: Path, width: int) -> list[Line]:
    """The lines as a page shows them."""
    same = [_replaced(line, re.compile(re.escape(f"{directory}/")), "") for line in lines]
    return [_ruler(line, width) for line in _without_versions(_without_libraries(same))]


def _without_libraries(lines: Iterable[Line]) -> Iterator[Line]:
    """What is in frames of libraries is left out: they are others with each version."""
    left_out = False
    for line in lines:
        found = _LIBRARY_FRAME.match(plain(line))
        if found is None:
            yield line
        elif not left_out:
            prefix = found["prefix"] if found["prefix"] is not None else found["frozen"]
            yield [*line[: len(prefix)], *((char, frozenset()) for char in "...")]
        left_out = found is not None


def _without_versions(lines: Iterable[Line]) -> Iterator[Line]:
    header = False
    for line in lines:
        text = plain(line)
        header = header or "test session starts" in text
        if _C_STACK.match(text) or _MARKS.match(text) or (header and _HEADER.match(text) and text):
            continue
        if text.startswith("collected "):
            header = False
        for pattern, replacement in _SAME:
            line = _replaced(line, pattern, replacement)
        yield line


def _replaced(line: Line, pattern: re.Pattern[str], replacement: str) -> Line:
    """As re.sub does; what is put in has the style of what was there."""
    result: Line = []
    at = 0
    for found in pattern.finditer(plain(line)):
        style = line[found.start()][1] if found.start() < len(line) else frozenset()
        result += line[at : found.start()]
        result += [(char, style) for char in found.expand(replacement)]
        at = found.end()
    return result + line[at:]


def _ruler(line: Line, width: int) -> Line:
    """A line as ``=== title ===`` is as long again as pytest makes it: its title may be another length by now."""
    text = plain(line)
    found = _RULER.match(text)
    if found is None:
        return line
    char, start, end = found[1], found.start(2), found.end(2)
    fill = max((width - (end - start) - 2) // 2, 1)
    left, right = line[0][1], line[-1][1]
    ruler = [(char, left)] * fill + line[start - 1 : end + 1] + [(char, right)] * fill
    return ruler + ([(char, right)] if len(ruler) < width else [])
