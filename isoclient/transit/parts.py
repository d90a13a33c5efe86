"""The way to a part of an object, in words: for an object that can't be sent, because of that part."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Final, TypeAlias

from isoclient.transit.bounds import text_of

__all__ = ["path_to"]

_Part: TypeAlias = tuple[str, object]
_MOST_SHOWN: Final = 6


def path_to(obj: object, way: list[object]) -> str:
    """Where in ``obj`` the last thing on the way is that can be given a name.

    Not all that a pickler comes upon is part of what was before, as people see it: a dict of state is not, nor are the
    arguments of a ``__reduce__``. What is come upon again ends a way round.

    Example:
        >>> order = {"lines": ["tea"]}
        >>> path_to({"order": order}, [order, order["lines"]])
        "['order'] -> ['lines']"
    """
    path = [("", obj, _parts_of_call(obj) or _parts(obj))]
    for step in way:
        passed = next((index for index, (_, place, _) in enumerate(path) if place is step), None)
        label = next((label for label, part in path[-1][2] if part is step), None)
        if passed is not None:
            del path[passed + 1 :]
        elif label is not None:
            path.append((label, step, _parts(step)))
    labels = [label for label, _, _ in path[1:]]
    if len(labels) > _MOST_SHOWN:
        labels[2 : 2 - _MOST_SHOWN] = ["..."]
    return " -> ".join(labels) or text_of(obj, repr, 200)


def _parts_of_call(obj: object) -> list[_Part]:
    match obj:
        case (function, tuple(args), dict(kwargs)) if callable(function):
            by_position = [(f"argument {number}", arg) for number, arg in enumerate(args)]
            by_name = [(f"argument {name!r}", arg) for name, arg in kwargs.items()]
            return [("the function", function), *by_position, *by_name]
    return []


def _parts(obj: object) -> list[_Part]:
    parts: list[_Part] = []
    with contextlib.suppress(Exception):  # it is only to make an error clearer
        parts.extend(_iter_parts(obj))
    return parts


def _iter_parts(obj: object) -> Iterator[_Part]:
    match obj:
        case dict():
            yield from ((f"[{key!r}]", value) for key, value in obj.items())
        case list() | tuple():
            yield from ((f"[{index}]", value) for index, value in enumerate(obj))
        case set() | frozenset():
            yield from ((f"{{{value!r}}}", value) for value in obj)
        case MethodType():
            yield from ((".__self__", obj.__self__), (".__func__", obj.__func__))
        case functools.partial():
            yield from ((".func", obj.func), (".args", obj.args), (".keywords", obj.keywords))
        case FunctionType():
            yield from _parts_of_function(obj)
        case type():
            yield ".__bases__", obj.__bases__
    yield from ((f".{name}", value) for name, value in getattr(obj, "__dict__", {}).items())
    yield ".__class__", type(obj)


def _parts_of_function(function: FunctionType) -> Iterator[_Part]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # an empty cell
            yield f"closure variable {name!r}", cell.cell_contents
    arguments, defaults = function.__code__.co_varnames[: function.__code__.co_argcount], function.__defaults__ or ()
    with_default = [*zip(arguments[::-1], defaults[::-1], strict=False), *(function.__kwdefaults__ or {}).items()]
    yield from ((f"default of {name!r}", value) for name, value in with_default)
    yield from ((f"annotation of {name!r}", value) for name, value in function.__annotations__.items())
    names = [name for name in function.__code__.co_names if name in function.__globals__]
    yield from ((f"global {name!r}", function.__globals__[name]) for name in names)
