"""Names of a test, looked up in the app's process: globals, and in a fork of the test's process its variables, too.

A fork that was made in a test has that test's frames below its own, unless another thread has made it. What the app or
a module of somebody's own refers to is found from there; and what they do not refer to the app can't have changed, so
that it is not looked for. An object that both processes have has the same address in both; but what either has made
since may have that, too. So an address alone says nothing: it counts for a variable of that name, in the very
frame or in the closure of a function, and for an object that the test was known to have at the fork.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from types import CellType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple, cast

from isoclient.system.modules import time
from isoclient.transit.libraries import is_own_module
from isoclient.transit.looks import MISSING, attribute_of, is_data, is_of_library, look_at
from isoclient.transit.mock_arguments import Argument, recorded
from isoclient.transit.places import module_of

__all__ = ["APP", "Name", "looks_of"]

_MOST: Final = 200_000  # objects
_LONGEST: Final = 0.6  # seconds, of the one that the test waits for all that it asks
_STEP: Final = 1000

APP: Final = -1
"""The address of the app, which each process has."""


class Name(NamedTuple):
    """A name that a test uses.

    Attributes:
        root: its first part.
        path: the others.
        module: of a global: that of the module; empty for a variable.
        code: of a variable: what its function is: a file, a line and a name.
        address: of a variable: that of its value.
        cell: of a variable that functions share: the address of its cell; 0 for others.
        is_known: of a variable: whether its value is one of those that the test has known for themselves at the fork.
        argument: of what a mock was called with: which one it is.
    """

    root: str
    path: tuple[str, ...]
    module: str
    code: tuple[str, int, str]
    address: int
    cell: int
    is_known: bool = False
    argument: tuple[Any, ...] | None = None


def looks_of(
    names: Iterable[tuple[Any, ...]], app: object, known: Callable[[int], bool]
) -> list[tuple[Any, ...] | None]:
    """What each of them looks like here; None where it is not to be found, or is no data.

    Args:
        names: they.
        app: the app.
        known: tells of an address whether that is of an object which the test has known for itself at the fork.
    """
    wanted = [Name(*name) for name in names]
    found: dict[Name, Any] = {name: _global(name) for name in wanted if name.module}
    found |= {name: app for name in wanted if name.address == APP}
    found |= {name: recorded(Argument(*name.argument)) for name in wanted if name.argument is not None}
    variables = [name for name in wanted if name not in found]
    if variables:
        found |= _variables(variables, app, known)
    values = [_at_path(found[name], name.path) for name in wanted]
    return [tuple(look_at(value)) if value is not MISSING and is_data(value) else None for value in values]


def _at_path(value: object, path: tuple[str, ...]) -> Any:
    for attribute in path:
        if value is MISSING:
            break
        value = attribute_of(value, attribute)
    return value


def _global(name: Name) -> Any:
    module = sys.modules.get(name.module)
    return MISSING if module is None else vars(module).get(name.root, MISSING)


def _variables(names: list[Name], app: object, is_known: Callable[[int], bool]) -> dict[Name, Any]:
    in_frames = {name: _in_frames(name) for name in names}
    # One that functions share is of use to another than the test; of others that is to be seen.
    found = {name: value if name.cell else MISSING for name, value in in_frames.items()}
    known = {name for name, value in in_frames.items() if value is not MISSING}
    known |= {name for name in names if name.is_known and is_known(name.address)}
    missing = [name for name, value in found.items() if value is MISSING]
    return found | (_reached(missing, known, app) if missing else {})


def _in_frames(name: Name) -> Any:
    for frame in _frames_below():
        code = frame.f_code
        if (code.co_filename, code.co_firstlineno, code.co_name) == name.code:
            value = frame.f_locals.get(name.root, MISSING)
            return value if name.cell or id(value) == name.address else MISSING
    return MISSING


def _frames_below() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _reached(names: list[Name], known: set[Name], app: object) -> dict[Name, Any]:
    """Those that the app refers to, or a module, over whatever else, within a bound."""
    cells = {name.cell: name for name in names if name.cell}
    values = {name.address: name for name in names if not name.cell}
    found: dict[Name, Any] = {}
    end = time.monotonic() + _LONGEST
    since = {id(each) for each in gc.get_objects()}  # without those of the time before the fork, which are frozen
    # The last comes first: what the app itself has is the most likely.
    waiting = [*(vars(module) for module in sys.modules.copy().values() if is_own_module(module)), app]
    seen = set(map(id, waiting))
    for number in count(1):
        if not waiting or len(seen) >= _MOST or len(found) == len(names):
            break
        if number % _STEP == 0 and time.monotonic() > end:
            break
        part = waiting.pop()
        for each in gc.get_referents(part):
            address = id(each)
            if address in seen:
                continue
            seen.add(address)
            is_old = address not in since and gc.is_tracked(each)
            if type(each) is CellType and address in cells and is_old:
                found[cells[address]] = _content(each)
            elif address in values and values[address] in known:
                found[values[address]] = each
            elif type(each) is FunctionType:
                found |= {name: value for name, value in _bound_in(each, names) if id(value) not in since}
            if not _leads_away(each):
                waiting.append(each)
    return found


def _bound_in(function: FunctionType, names: list[Name]) -> Iterator[tuple[Name, Any]]:
    """Those that the closure of a function has by the same name, and at the same address."""
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        for name in names:
            if name.root == variable and not name.cell and id(value := _content(cell)) == name.address:
                yield name, value


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _leads_away(part: object) -> bool:
    """Whether it leads to what all refer to: libraries, and frames."""
    if type(part) is dict and (name := module_of(part)) is not None:
        return not is_own_module(sys.modules[name])
    cls: Any = type(part)  # not isinstance(), which may ask it
    if issubclass(cls, type):
        return is_of_library(cast("type", part))
    return issubclass(cls, ModuleType | CodeType | FrameType)
