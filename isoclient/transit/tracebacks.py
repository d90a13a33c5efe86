"""Tracebacks as flat lists of frames: nested ones overflow pickle's stack at a few hundred frames.

The local variables of the frames, for those who look at them in the test's process, do not cross themselves: they are
the app's live state. Plain values arrive as they are, everything else as an object whose ``repr()`` is that of the
original. The arguments of the innermost frame always do, for pytest shows them with its source.
"""

from __future__ import annotations

import contextlib
import copyreg
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType, FunctionType, MethodType, SimpleNamespace, TracebackType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from isoclient.compat.python_code import can_place, line_table
from isoclient.system.modules import os, pickle, time
from isoclient.transit.bounds import bounded, text_of
from isoclient.transit.looks import text_without_code

__all__ = [
    "FrameRecord",
    "LocalText",
    "LocalsReader",
    "PackedLocal",
    "is_called_by_app",
    "is_plain",
    "read_frames",
    "rebuild_traceback",
    "without_machinery",
]

_E = TypeVar("_E", bound=BaseException)

# The app is called from there; these frames are ours, and say nothing about the app.
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SERVER_FOLDER: Final = os.path.join(_PACKAGE, "server", "")
# What the app calls of ours, such as its ``send``, is not where its mistake is.
_CALLED_FOLDERS: Final = (_SERVER_FOLDER, os.path.join(_PACKAGE, "asgi", ""))

_WITH_LOCALS: Final = 50  # frames of one traceback
_WIDEST: Final = 10_000  # lines or columns of one expression

_MOST_NAMES: Final = 100  # of one frame
_LONGEST: Final = 2_000  # characters of one text
_MOST_CHARACTERS: Final = 1_000_000  # of all texts that cross with one exception
_MOST_ITEMS: Final = 50  # of a plain container
_DEEPEST: Final = 4
_SECONDS: Final = 1.0  # for all of them together: a __repr__ may do anything
_SECONDS_OF_ARGUMENTS: Final = 0.2
_LONGEST_ARGUMENT: Final = 500  # characters; of those, pytest shows the ends
_VARIABLE: Final = 0x04, 0x08  # the flags of a function that takes *args, and of one that takes **kwargs
_SCALARS: Final = frozenset({int, float, complex, bool, str, bytes, type(None)})
_SIZE_OF: Final[Mapping[type, Callable[[Any], int]]] = {str: len, bytes: len, int: int.bit_length}
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})

_HERE: Final = os.path.dirname(__file__) + os.sep
_DILL: Final = f"{os.sep}dill{os.sep}_dill.py"
_STANDARD: Final = (pickle.__file__, copyreg.__file__)
_MOST_AT_EACH_END: Final = 3  # frames: of a recursion, the rest is the same again
_LONGEST_CHAIN: Final = 3

Span = tuple[int, int, int]
"""Where in its line the failing expression begins and ends: lines until its end, first and last column (PEP 657)."""

PackedLocal: TypeAlias = tuple[str, bool, Any]
"""A name, whether the value is plain, and the value; or, where it is not, its text."""


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
    arguments: int = 0  # how many of the locals, the first ones, are the arguments to be shown


def read_frames(traceback: TracebackType | None, limit: int, reader: LocalsReader | None = None) -> list[FrameRecord]:
    """The frames of ``traceback``, outermost first: the first and the last of them if there are more than ``limit``.

    The server's frames before the app's first and after its last are left out. The innermost have their
    locals, if there is a reader.
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
    while len(entries) > 1 and is_called_by_app(entries[-1]):
        entries.pop()
    records = [*map(_record, entries)]
    if reader is not None:
        shown = next((number for number in reversed(range(len(records))) if not records[number].hidden), len(records))
        # The innermost first, for that is where the failure is, and the reader has bounds.
        for number in reversed(range(max(0, len(records) - _WITH_LOCALS) if reader.reads_all else shown, len(records))):
            found, count = reader.read(entries[number].tb_frame, with_arguments=number == shown)
            records[number] = records[number]._replace(locals=found, arguments=count)
    return [*records[: len(first)], *marker, *records[len(first) :]]


def is_called_by_app(entry: TracebackType) -> bool:
    """Whether it is of what the app calls of ours, if it is not of what calls the app."""
    return entry.tb_frame.f_code.co_filename.startswith(_CALLED_FOLDERS)


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
    local = dict(frame.f_locals)
    names = tuple(local) if record.arguments else ()
    code = _failing_code(
        record.filename, record.function, record.first_line, record.line, record.span, names, record.arguments
    )
    try:
        if record.arguments:
            values = [local.pop(name) for name in names[: record.arguments]]
            FunctionType(code, frame.f_globals)(*values, **local)
        else:
            exec(code, frame.f_globals, frame.f_locals)
    except ZeroDivisionError as error:
        *_, stopped = _entries(error.__traceback__)
        return stopped.tb_frame
    return frame


def _failing() -> None:
    1 / 0  # noqa: B018


@lru_cache(maxsize=128)  # for an app mostly fails where it has failed before
def _failing_code(
    filename: str, function: str, first_line: int, line: int, span: Span | None, names: tuple[str, ...], arguments: int
) -> CodeType:
    """Code that fails at this place: of a function with these local variables, the first of which are its arguments.

    Without arguments, it is that of a module.
    """
    code = _failing.__code__ if arguments else compile("1 / 0", filename, "exec")
    code = code.replace(
        co_filename=filename,
        co_name=function,
        co_firstlineno=first_line,
        co_linetable=line_table(len(code.co_code) // 2, line - first_line, span),
    )
    if not arguments:
        return code
    return code.replace(
        co_varnames=names, co_nlocals=len(names), co_argcount=arguments, co_kwonlyargcount=len(names) - arguments
    )


def _frame(record: FrameRecord) -> SimpleNamespace:
    names = {"__name__": record.module, "__file__": record.module_file}
    return SimpleNamespace(
        f_globals={name: value for name, value in names.items() if value is not None},
        f_locals=rebuild_locals(record.locals) | ({"__tracebackhide__": True} if record.hidden else {}),
        f_lineno=record.line,
        f_code=SimpleNamespace(co_filename=record.filename, co_name=record.function),
    )


# -- local variables


class LocalText:
    """Stands for a local variable of the app: its ``repr()`` is what the original's was.

    Example:
        >>> LocalText("<Order 7>")
        <Order 7>
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class LocalsReader:
    """Reads the locals of frames, within bounds of time and size for all of them. Runs in the app's process.

    Args:
        reads_all: whether all are wanted, or only the arguments of the innermost frame.
    """

    def __init__(self, *, reads_all: bool) -> None:
        self.reads_all = reads_all
        self._characters = _MOST_CHARACTERS
        self._longest = _LONGEST if reads_all else _LONGEST_ARGUMENT
        self._end = time.monotonic() + (_SECONDS if reads_all else _SECONDS_OF_ARGUMENTS)

    def read(self, frame: FrameType, *, with_arguments: bool = False) -> tuple[list[PackedLocal], int]:
        """Those of a frame, and how many of them are the arguments, which come first then. Never raises."""
        found: list[PackedLocal] = []
        with contextlib.suppress(BaseException):
            local = frame.f_locals
            arguments = [name for name in _arguments_of(frame.f_code) if name in local] if with_arguments else []
            others = [name for name in local if name not in arguments] if self.reads_all else []
            wanted = [(name, local[name]) for name in (*arguments, *others)[:_MOST_NAMES]]
            if not self.reads_all or all(is_plain(value, _DEEPEST) for _, value in wanted):
                found += (self._pack(*each) for each in wanted)
            else:
                with bounded(self._end):
                    found += (self._pack(*each) for each in wanted)
        return found, min(len(found), len(arguments))

    def _pack(self, name: str, value: object) -> PackedLocal:
        if self._characters > 0 and is_plain(value, _DEEPEST):
            self._characters -= 100
            return name, True, value
        if self._characters <= 0 or time.monotonic() > self._end:
            return name, False, f"<{type(value).__name__}: not read, for there was too much of it>"
        # Who has not asked for local variables is not to have code of theirs run, which may wait for a lock.
        text = text_of(value, repr if self.reads_all else _without_code, self._longest)
        self._characters -= len(text)
        return name, False, text


def _without_code(value: object) -> str:
    if type(value) in (FunctionType, MethodType):  # the repr() of a method is that of its object, too
        return f"<{type(value).__name__} {value.__qualname__}>"  # type: ignore[attr-defined]
    return text_without_code(value)


def _arguments_of(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount + sum(bool(code.co_flags & flag) for flag in _VARIABLE)
    return code.co_varnames[:count]


def is_plain(value: Any, depth: int) -> bool:
    """Whether a pickle of it names nothing, and is small, and it has not more containers in each other than ``depth``.

    Example:
        >>> is_plain(["a"], 1), is_plain([["a"]], 1), is_plain([object()], 1)
        (True, False, False)
    """
    kind = type(value)
    if kind in _SCALARS:
        return kind not in _SIZE_OF or _SIZE_OF[kind](value) <= _LONGEST
    if kind not in _CONTAINERS or len(value) > _MOST_ITEMS or depth == 0:
        return False
    items = [*value, *value.values()] if kind is dict else value
    return all(is_plain(item, depth - 1) for item in items)


def rebuild_locals(packed: list[PackedLocal]) -> dict[str, Any]:
    """What a frame in the test's process has as its locals."""
    return {name: value if is_itself else LocalText(value) for name, is_itself, value in packed}


# -- of what kept an object from crossing


def without_machinery(error: _E) -> _E:
    """The same, with the frames of the user's own code alone, and few of these, in it and in what led to it."""
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return error
        link.__traceback__ = _trimmed(link.__traceback__)
        last, link = link, link.__cause__ or link.__context__
    last.__cause__ = last.__context__ = None
    return error


def _trimmed(traceback: TracebackType | None) -> TracebackType | None:
    entries = []
    while traceback is not None:
        if not _is_machinery(traceback.tb_frame.f_code.co_filename):
            entries.append(traceback)
        traceback = traceback.tb_next
    if len(entries) > 2 * _MOST_AT_EACH_END:
        del entries[_MOST_AT_EACH_END:-_MOST_AT_EACH_END]
    following = None
    for entry in reversed(entries):
        entry.tb_next = following
        following = entry
    return following


def _is_machinery(file: str) -> bool:
    return file.startswith(_HERE) or file.endswith(_DILL) or file in _STANDARD
