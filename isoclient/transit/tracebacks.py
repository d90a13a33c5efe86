"""Tracebacks as flat lists of frames: nested ones overflow pickle's stack at a few hundred frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from types import FrameType, SimpleNamespace, TracebackType
from typing import Final, NamedTuple

from isoclient.compat.python_code import can_place, line_table
from isoclient.system.modules import os
from isoclient.transit.local_variables import LocalsReader, PackedLocal, rebuild_locals

__all__ = ["FrameRecord", "read_frames", "rebuild_traceback"]

# The app is called from there; these frames are ours, and say nothing about the app.
_SERVER_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "server", "")

_WITH_LOCALS: Final = 50  # frames of one traceback
_WIDEST: Final = 10_000  # lines or columns of one expression

Span = tuple[int, int, int]
"""Where in its line the failing expression begins and ends: lines until its end, first and last column (PEP 657)."""


class FrameRecord(NamedTuple):
    """What of a frame and its place in a traceback crosses."""

    filename: str
    first_line: int
    line: int
    function: str
    module: str | None
    module_file: str | None
    hidden: bool  # pytest's __tracebackhide__
    span: Span | None
    locals: list[PackedLocal]


def read_frames(traceback: TracebackType | None, limit: int, reader: LocalsReader | None = None) -> list[FrameRecord]:
    """The frames of ``traceback``, outermost first: the first and the last of them if there are more than ``limit``.

    The server's frames before the app's first are left out. The innermost have their locals, if there is a reader.
    """
    first: list[TracebackType] = []
    last: deque[TracebackType] = deque(maxlen=limit // 2)
    left_out = 0
    for entry in _entries(_skip_server(traceback)):
        if len(first) < limit - limit // 2:
            first.append(entry)
        else:
            left_out += len(last) == last.maxlen
            last.append(entry)
    marker = [_marker(left_out)] if left_out else []
    entries = [*first, *last]
    records = [*map(_record, entries)]
    if reader is not None:
        # The innermost first, for that is where the failure is, and the reader has bounds.
        for number in reversed(range(max(0, len(records) - _WITH_LOCALS), len(records))):
            records[number] = records[number]._replace(locals=reader.read(entries[number].tb_frame))
    return [*records[: len(first)], *marker, *records[len(first) :]]


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _skip_server(traceback: TracebackType | None) -> TracebackType | None:
    app = (entry for entry in _entries(traceback) if not entry.tb_frame.f_code.co_filename.startswith(_SERVER_FOLDER))
    return next(app, traceback)  # nothing but ours is better than nothing


def _record(entry: TracebackType) -> FrameRecord:
    frame = entry.tb_frame
    return FrameRecord(
        frame.f_code.co_filename,
        frame.f_code.co_firstlineno,
        entry.tb_lineno or frame.f_code.co_firstlineno,
        frame.f_code.co_name,
        _plain(frame.f_globals.get("__name__")),
        _plain(frame.f_globals.get("__file__")),
        "__tracebackhide__" in frame.f_code.co_varnames and frame.f_locals.get("__tracebackhide__") is True,
        _span(entry),
        [],
    )


def _span(entry: TracebackType) -> Span | None:
    if entry.tb_lasti < 0:
        return None
    positions = next(islice(entry.tb_frame.f_code.co_positions(), entry.tb_lasti // 2, None), (None,) * 4)
    line, end_line, column, end_column = positions
    if line is None or end_line is None or column is None or end_column is None or line != entry.tb_lineno:
        return None
    span = end_line - line, column, end_column
    return span if all(0 <= value <= _WIDEST for value in span) else None


def _plain(value: object) -> str | None:
    return value if type(value) is str else None


def _marker(left_out: int) -> FrameRecord:
    return FrameRecord("<isoclient>", 1, 1, f"({left_out:,} frames left out)", None, None, False, None, [])


def rebuild_traceback(records: list[FrameRecord]) -> TracebackType | None:
    """A traceback with these frames, for ``with_traceback``."""
    if not records:
        return None
    from tblib import Traceback

    chain = None
    for record in reversed(records):
        chain = SimpleNamespace(tb_frame=_frame(record), tb_lineno=record.first_line, tb_next=chain)
    entries = list(_entries(Traceback(chain, get_locals=lambda frame: frame.f_locals).as_traceback()))
    # tblib starts the code of each frame at the failing line, and its columns are those of a line of its own. With
    # the code at its true first line, and the line here, pytest shows the function from its beginning. Where there are
    # no columns, there is no instruction either (-1), hence no carets in the wrong places.
    rebuilt = None
    for entry, record in zip(reversed(entries), reversed(records), strict=True):
        is_placed = bool(record.locals or record.span) and can_place()
        frame = _stopped_frame(record, entry.tb_frame) if is_placed else entry.tb_frame
        rebuilt = TracebackType(rebuilt, frame, 0 if is_placed and record.span else -1, record.line)
    return rebuilt


def _stopped_frame(record: FrameRecord, frame: FrameType) -> FrameType:
    """The same, stopped at the failing expression: debuggers ask the frame, and not the traceback, where it is."""
    code = compile("1 / 0", record.filename, "exec")
    code = code.replace(
        co_name=record.function,
        co_firstlineno=record.first_line,
        co_linetable=line_table(len(code.co_code) // 2, record.line - record.first_line, record.span),
    )
    try:
        exec(code, frame.f_globals, frame.f_locals)
    except ZeroDivisionError as error:
        *_, stopped = _entries(error.__traceback__)
        return stopped.tb_frame
    return frame


def _frame(record: FrameRecord) -> SimpleNamespace:
    names = {"__name__": record.module, "__file__": record.module_file}
    return SimpleNamespace(
        f_globals={name: value for name, value in names.items() if value is not None},
        f_locals=rebuild_locals(record.locals) | ({"__tracebackhide__": True} if record.hidden else {}),
        f_lineno=record.line,
        f_code=SimpleNamespace(co_filename=record.filename, co_name=record.function),
    )
