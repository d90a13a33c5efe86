"""The line that a global of a module comes from, as far as its source says."""

from __future__ import annotations

import dis
import re
import sys
from collections.abc import Iterator
from inspect import getattr_static
from types import CodeType, FunctionType, ModuleType
from typing import Any

from isoclient.leaks.origins import Origin
from isoclient.system.modules import io
from isoclient.transit.libraries import is_own_module

__all__ = ["line_of"]


def line_of(module: ModuleType, name: str, *, rebinds: bool) -> Origin | None:
    """Where a global is rebound, if that is what has happened and its module does so; else where it is defined.

    Args:
        module: one that has the global, by its own definition or by an import.
        name: the global.
        rebinds: whether it is another object by now.
    """
    file = str(vars(module).get("__file__"))
    if rebinds and (line := _rebinding(module, name)) is not None:
        return Origin(file, line)
    return _definition(file, name) or _elsewhere(vars(module).get(name), name)


def _elsewhere(value: object, name: str) -> Origin | None:
    for module in list(sys.modules.values()):
        if is_own_module(module) and vars(module).get(name) is value:
            found = _definition(str(vars(module)["__file__"]), name)
            if found is not None:
                return found
    return None


def _definition(file: str, name: str) -> Origin | None:
    """The first assignment in the source that is not within a function or a class, or a class of that name."""
    if not name.isidentifier():
        return None
    try:
        with io.open(file, encoding="utf-8", errors="replace") as source:
            text = source.read()
    except OSError:
        return None
    found = re.search(rf"^(?:{name}\s*(?::[^=\n]+)?=(?!=)|{name}\s*:|class {name}\b)", text, re.MULTILINE)
    return None if found is None else Origin(file, text.count("\n", 0, found.start()) + 1)


def _rebinding(module: ModuleType, name: str) -> int | None:
    """The line of a function of the module that says ``global name`` and assigns it; None if there are several."""
    lines = {line for code in _codes(module) for line in _stores(code, name)}
    return lines.pop() if len(lines) == 1 else None


def _codes(module: ModuleType) -> Iterator[CodeType]:
    for value in list(vars(module).values()):
        is_class = issubclass(type(value), type) and value.__module__ == module.__name__
        for member in list(vars(value).values()) if is_class else [value]:
            function = _function_of(member)
            if type(function) is FunctionType and function.__module__ == module.__name__:
                yield from _within(function.__code__)


def _function_of(member: Any) -> object:
    """What it wraps, if it does. A proxy, which may make something when it is asked, is not asked."""
    if issubclass(type(member), classmethod | staticmethod):
        return member.__func__
    return getattr_static(member, "__wrapped__", member)


def _within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _within(constant)


def _stores(code: CodeType, name: str) -> Iterator[int]:
    if name in code.co_names:
        line = code.co_firstlineno
        for step in dis.get_instructions(code):
            if step.positions is not None and step.positions.lineno is not None:
                line = step.positions.lineno
            if step.opname == "STORE_GLOBAL" and step.argval == name:
                yield line
