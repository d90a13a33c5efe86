"""The names that the failing line of a test uses, and what they stand for."""

from __future__ import annotations

import ast
import gc
import linecache
import sys
from collections.abc import Iterator
from types import CellType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any, NamedTuple

from isoclient.client.copy_record import CopyRecord
from isoclient.server.lookup import APP, Name
from isoclient.transit.libraries import is_of_a_library, near
from isoclient.transit.looks import MISSING, attribute_of, is_data, is_of_library
from isoclient.transit.mock_arguments import Argument, last_arguments
from isoclient.transit.places import place_of
from isoclient.transit.shared_mocks import mocks

__all__ = ["UsedName", "used_names"]

_MOST = 12
_PLAIN = frozenset((type(None), bool, int, float, str, bytes))


class UsedName(NamedTuple):
    """One of them.

    Attributes:
        text: the name as the test has it, or has it at another place.
        value: what it stands for here.
        ask: what the app's process may know it as, the likeliest first.
        where: the file and the line.
    """

    text: str
    value: object
    ask: tuple[Name, ...]
    where: str

    @property
    def is_global(self) -> bool:
        """Whether a function that is sent to the app's process would find it there."""
        return bool(self.ask[0].module)

    @property
    def is_variable(self) -> bool:
        """Whether it is one of a function."""
        return not (self.ask[0].module or self.is_argument) and self.ask[0].address != APP

    @property
    def is_argument(self) -> bool:
        """Whether it is one that a mock was called with, as it was then."""
        return self.ask[0].argument is not None

    @property
    def is_of_library(self) -> bool:
        """Whether it is an object of a library's, which may keep caches in it."""
        return is_of_library(type(self.value))


def used_names(error: BaseException, copy: CopyRecord) -> list[UsedName]:
    """Those of the line of somebody's own code at which this was raised, or came by; none if that can't be read.

    Args:
        error: what was raised.
        copy: that of the app whose process is to know them.
    """
    names: dict[str, UsedName] = {}
    for traceback in _tracebacks(error):
        for used in _used_at(traceback, copy):
            names.setdefault(used.text, used)
    return list(names.values())[:_MOST]


def _tracebacks(error: BaseException) -> Iterator[TracebackType | None]:
    """That of each exception which is one; and of a timeout, that of what was cancelled by it."""
    errors = [error]
    for _ in range(_MOST):
        if not errors:
            return
        error = errors.pop(0)
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
            continue
        yield error.__traceback__
        cause = error.__cause__ or error.__context__
        if cause is not None and not isinstance(cause, Exception):
            errors.append(cause)


def _used_at(traceback: TracebackType | None, copy: CopyRecord) -> Iterator[UsedName]:
    found = _failing(traceback)
    if found is None:
        return
    frame, line = found
    statement = _statement(frame.f_code.co_filename, line)
    if statement is None:
        return
    where = f"{near(frame.f_code.co_filename)}:{line}"
    for path, is_called in _paths(statement):
        yield from _used(frame, path, where, copy, is_called=is_called)


def _failing(traceback: TracebackType | None) -> tuple[FrameType, int] | None:
    """The innermost line of somebody's own code in this process: frames that come from the app's are made up."""
    found = None
    while traceback is not None:
        frame = traceback.tb_frame
        module = sys.modules.get(frame.f_globals.get("__name__", ""))
        is_real = module is not None and vars(module) is frame.f_globals
        if is_real and not is_of_a_library(frame.f_code.co_filename) and traceback.tb_lineno is not None:
            found = frame, traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def _statement(file: str, line: int) -> ast.AST | None:
    """What is at this line, without the body of a block that begins there."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None
    found = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            found = node  # walked from the outside in
    if found is None or isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return None
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        if hasattr(found, block):
            setattr(found, block, [])
    return found


def _paths(statement: ast.AST) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The dotted names that it reads, each as long as it can be, and whether what it stands for is called."""
    inner: set[int] = set()
    called = {id(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)}
    for node in ast.walk(statement):
        if id(node) in inner:
            continue
        path: list[str] = []
        part = node
        while isinstance(part, ast.Attribute):
            path.insert(0, part.attr)
            part = part.value
            inner.add(id(part))
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            yield (part.id, *path), id(node) in called


def _used(
    frame: FrameType, path: tuple[str, ...], where: str, copy: CopyRecord, *, is_called: bool
) -> Iterator[UsedName]:
    """The longest part of it that is data; or what a function of the test's that is called there uses.

    Of a mock, it is what that was called with at last.
    """
    root, *attributes = path
    if root in frame.f_locals and frame.f_locals is not frame.f_globals:
        start: Any = frame.f_locals[root]
    else:
        start = frame.f_globals.get(root, MISSING)
    values: list[Any] = [start]
    for attribute in attributes:
        values.append(_attribute_of(values[-1], attribute) if values[-1] is not MISSING else MISSING)
    for length in range(len(attributes), -1, -1):
        value = values[length]
        if root == "self" and not length:
            return  # the test itself, which is no data of anybody's
        if value is not MISSING and is_data(value):
            asks = _asks(frame, root, start, tuple(attributes[:length]), values[: length + 1], copy)
            yield UsedName(".".join(path[: length + 1]), value, asks, where)
            return
        if is_called and type(value) is FunctionType and not is_of_a_library(value.__code__.co_filename):
            yield from _used_by(value, where)
            return
        if (mock := _mock_in(value)) is not None:
            yield from _arguments_of(mock, ".".join(path[: length + 1]), where, copy)
            return


def _mock_in(value: object) -> Any:
    """The mock that this is, or that is behind this function; None for anything else."""
    if mocks.number_of(value):
        return value
    return mocks.names().autospec_of(value) if type(value) is FunctionType and "mock" in vars(value) else None


def _attribute_of(thing: object, name: str) -> Any:
    mock = _mock_in(thing)
    parts = {} if mock is None else mocks.names().children_of(mock)
    return parts[name] if name in parts else attribute_of(thing, name)


def _arguments_of(mock: object, text: str, where: str, copy: CopyRecord) -> Iterator[UsedName]:
    for argument, value in last_arguments(mock, copy.has_mock).items():
        if is_data(value) and copy.argument_of(value) is not None:
            place = f"args[{argument.place}]" if isinstance(argument.place, int) else f"kwargs[{argument.place!r}]"
            yield UsedName(f"{text}.call_args.{place}", value, (_argument(argument, ()),), where)


def _used_by(function: FunctionType, where: str) -> Iterator[UsedName]:
    """The globals of somebody's function, for what a test asserts of that is said by them."""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name, MISSING)
        if value is not MISSING and is_data(value):
            yield UsedName(name, value, (_global(function.__module__, name, ()),), where)


def _asks(
    frame: FrameType, root: str, start: Any, attributes: tuple[str, ...], values: list[Any], copy: CopyRecord
) -> tuple[Name, ...]:
    for number, value in enumerate(values):
        if value is copy.app and copy.app is not None:
            return (Name("", attributes[number:], "", ("", 0, ""), APP, 0),)
    # What is behind the last module on the way is that module's.
    for number in range(len(attributes) - 1, -1, -1):
        if isinstance(values[number], ModuleType):
            return (_global(values[number].__name__, attributes[number], attributes[number + 1 :]),)
    if root not in frame.f_locals or frame.f_locals is frame.f_globals:
        asks = [_global(frame.f_globals["__name__"], root, attributes)]
        if (place := place_of(start)) is not None and place.module != asks[0].module:
            asks.append(_global(place.module, place.attribute, attributes))
        return tuple(asks)
    for number, value in enumerate(values):
        if type(value) not in _PLAIN and (argument := copy.argument_of(value)) is not None:
            return (_argument(argument, attributes[number:]),)
    code = frame.f_code
    spot = code.co_filename, code.co_firstlineno, code.co_name
    cell = _cell(frame, start) if root in (*code.co_cellvars, *code.co_freevars) else 0
    if root in code.co_freevars:
        spot = "", 0, ""  # of the function around it, of which not even the name is known
    return (Name(root, attributes, "", spot, id(start), cell, copy.knows(start)),)


def _cell(frame: FrameType, value: object) -> int:
    """The address of the cell that has this value; 1 if several have, for then nobody knows which."""
    cells = [each for each in gc.get_referents(frame) if type(each) is CellType and _has(each, value)]
    return id(cells[0]) if len(cells) == 1 else 1


def _has(cell: CellType, value: object) -> bool:
    try:
        return cell.cell_contents is value
    except ValueError:
        return False


def _argument(argument: Argument, path: tuple[str, ...]) -> Name:
    return Name("", path, "", ("", 0, ""), 0, 0, False, tuple(argument))


def _global(module: str, root: str, path: tuple[str, ...]) -> Name:
    return Name(root, tuple(path), module, ("", 0, ""), 0, 0)
