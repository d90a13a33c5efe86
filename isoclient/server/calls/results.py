"""A result of ``client.call`` that can't cross: what to write instead."""

from __future__ import annotations

import linecache
from collections.abc import Collection
from types import CodeType, FunctionType
from typing import Final

from isoclient.errors import ObjectNotSendable

__all__ = ["no_way_back"]

_LONGEST: Final = 80  # characters of an expression


def no_way_back(error: ObjectNotSendable, func: object, arguments: Collection[object]) -> ObjectNotSendable:
    """The error for the result of a function, with the line that does instead.

    Example:
        >>> print(no_way_back(ObjectNotSendable("<lock>: cannot pickle it"), min, ()))
        the result can't come back to the test: <lock>: cannot pickle it: client.call(lambda: repr(min()))
    """
    line = f"client.call(lambda: repr({_expression(func, arguments)}))"
    return ObjectNotSendable(f"the result can't come back to the test: {error}: {line}")


def _expression(func: object, arguments: Collection[object]) -> str:
    """What calls it, as in a source."""
    if isinstance(func, FunctionType) and func.__name__ == "<lambda>" and not arguments:
        return _body_of(func.__code__) or "..."
    name = getattr(func, "__name__", None)
    return f"{name}({'...' if arguments else ''})" if isinstance(name, str) and name.isidentifier() else "..."


def _body_of(code: CodeType) -> str:
    """The expression of a lambda, if it is short, and of one line."""
    places = [place for place in code.co_positions() if None not in place and place[3]]
    lines = {line for place in places for line in place[:2]}
    source = linecache.getline(code.co_filename, lines.pop() or 0).encode() if len(lines) == 1 else b""
    first = min((place[2] or 0 for place in places), default=0)
    last = max((place[3] or 0 for place in places), default=0)
    text = source[first:last].decode(errors="replace").strip()
    return text if len(text) <= _LONGEST else ""
