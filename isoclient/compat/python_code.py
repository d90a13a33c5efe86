"""CPython's code objects: the table that says where in the source each instruction is."""

from __future__ import annotations

from isoclient.compat.self_tests import self_test

__all__ = ["can_place", "line_table"]


@self_test("Showing the failing expression of a line in the app's tracebacks", project="Python")
def can_place() -> None:
    code = compile("1 / 0", "app.py", "exec")
    for place in ((300, 300, None, None), (7, 9, 2, 130), (1, 1, 0, 5)):
        table = line_table(len(code.co_code) // 2, place[0] - 4, _span_of(place))
        found = set(code.replace(co_firstlineno=4, co_linetable=table).co_positions())
        assert found == {place}


def _span_of(place: tuple[int, int, int | None, int | None]) -> tuple[int, int, int] | None:
    line, end_line, column, end_column = place
    return None if column is None or end_column is None else (end_line - line, column, end_column)


def line_table(units: int, lines: int, span: tuple[int, int, int] | None) -> bytes:
    """A table that has all of the code at one place; its form is that of CPython's ``Objects/locations.md``.

    Args:
        units: how long the code is, in instructions.
        lines: how many lines the place is below the first one of the function.
        span: over how many more lines it goes, and its first and last column; None for the whole line.
    """
    table = b""
    for at in range(0, units, 8):
        head = 0x80 | (min(8, units - at) - 1)
        step = _number(lines << 1 if lines >= 0 else -lines << 1 | 1)
        if span is None:
            table += bytes([head | 13 << 3]) + step  # a line without columns
        else:
            more, first, last = span
            table += bytes([head | 14 << 3]) + step + _number(more) + _number(first + 1) + _number(last + 1)
        lines = 0
    return table


def _number(value: int) -> bytes:
    """Six bits in a byte, the lowest first."""
    if value < 0x40:
        return bytes([value])
    return bytes([0x40 | value & 0x3F]) + _number(value >> 6)
