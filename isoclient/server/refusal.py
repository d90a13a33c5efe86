"""How an app says that it has no lifespan: by an exception, of which nothing but that is laid down.

So is what an app raises that has a lifespan, and breaks before it comes to that. The two are told apart by who raises,
and about what: whoever refuses the scope has it in its hands, and names it, or asks it for what only a request has.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["is_refusal"]

_ITS_TYPE: Final = re.compile("lifespan", re.IGNORECASE)
_IN_THE_TEXT: Final = re.compile("lifespan|scope|asgi", re.IGNORECASE)
_IN_THE_SOURCE: Final = re.compile("""lifespan|scope|['"]http['"]|['"]websocket['"]""")
_STATEMENT: Final = re.compile(r"\s*(raise|assert)\b")
_CONDITION: Final = re.compile(r"\s*(if|elif|case)\b")

_OF_REQUESTS: Final = frozenset({
    "client", "extensions", "headers", "http_version", "method", "path", "query_string", "raw_path", "root_path",
    "scheme", "server", "subprotocols",
})  # fmt: skip


def is_refusal(error: BaseException) -> bool:
    """Whether it says that the app has no lifespan; if not, the app has broken.

    Args:
        error: what the app has raised at the lifespan scope before it asked for an event.

    Example:
        >>> async def app(scope, receive, send):
        ...     assert scope["type"] == "http"
        >>> try:
        ...     app({"type": "lifespan"}, None, None).send(None)
        ... except AssertionError as error:
        ...     is_refusal(error)
        True
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_refusal, error.exceptions))
    origin = _origin(error.__traceback__)
    if origin is None or not _has_the_scope(origin.tb_frame):
        return False
    if isinstance(error, KeyError):
        return error.args[:1] == ("lifespan",) or not _OF_REQUESTS.isdisjoint(map(str, error.args))
    if isinstance(error, NotImplementedError) or _ITS_TYPE.search(repr(error)):
        return True
    return _is_raised_for_it(error, origin)


def _origin(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


def _has_the_scope(frame: FrameType) -> bool:
    return any(map(_is_of_the_scope, _values(frame)))


def _values(frame: FrameType) -> Iterator[Any]:
    for value in frame.f_locals.values():
        yield value
        yield from _attributes(value)


def _attributes(value: object) -> list[Any]:
    """Those of an object that keeps the scope, as an app in the style of ASGI 2 does; without any code of its own."""
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return []
    return list(attributes.values()) if type(attributes) is dict else []


def _is_of_the_scope(value: object) -> bool:
    kind = dict.get(value, "type") if isinstance(value, dict) else value
    return type(kind) is str and kind == "lifespan"


def _is_raised_for_it(error: BaseException, origin: TracebackType) -> bool:
    """Whether a statement has raised it that says so, by its text, by itself, or by the condition that it is under."""
    name, names = origin.tb_frame.f_code.co_filename, origin.tb_frame.f_globals
    line = linecache.getline(name, origin.tb_lineno, names)
    above = linecache.getline(name, origin.tb_lineno - 1, names)
    if line and not _STATEMENT.match(line):
        return False
    source = above + line if _CONDITION.match(above) else line
    return bool(_IN_THE_TEXT.search(repr(error)) or _IN_THE_SOURCE.search(source))
