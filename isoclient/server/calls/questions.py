"""What the test asks of the app's process beside calls of the app: a function for each question.

A further one is a function, which gets the server and what the question is about, and an entry in :data:`QUESTIONS`.
What it returns crosses as a value; the test asks it by :func:`isoclient.wire.protocol.question`.
"""

from __future__ import annotations

import linecache
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import CodeType, FunctionType
from typing import Any, ClassVar, Final

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.server.inspection import spot_of_call
from isoclient.server.lookup import looks_of
from isoclient.server.server import Call, Server
from isoclient.wire.mux import Stream
from isoclient.wire.protocol import CallKind, Returned

__all__ = ["QUESTIONS", "QuestionCall"]

_LONGEST: Final = 80  # characters of an expression


async def _call(server: Server, about: Any) -> object:
    """``client.call``: a function called on the app's loop."""
    packed, is_trusted = about  # is_trusted: whether the test lets the result run any code there
    try:
        func, args, kwargs = server.codec.unpack_object(packed, server.live)
    except ObjectNotLoadable as error:
        raise error.with_traceback(None) from error.__cause__  # its frames are ours alone
    result = func(*args, **kwargs)
    if hasattr(type(result), "__await__"):
        result = await result
    pack = server.codec.pack_trusted_result if is_trusted else server.codec.pack_result
    try:
        return pack(result, server.live)
    except ObjectNotSendable as error:
        raise _no_way_back(error, func, (*args, *kwargs)) from error.__cause__


async def _state(server: Server, about: Any) -> object:
    """``client.app_state``: what the lifespan has put into the state."""
    return server.codec.pack_debug(server.state)


async def _tasks(server: Server, about: Any) -> object:
    """What the tasks on the loop are doing, as text, and where the call of this stream is.

    An answer is also the proof that the loop is not stuck.
    """
    return server.runtime.describe_tasks(), await _whereabouts(server, about)


async def _whereabouts(server: Server, about: Any) -> object:
    """Where the call of the stream with this number is: a file, a line and a function; None if it has ended."""
    spot = spot_of_call(server.runtime.frames_of(about))
    return None if spot is None else tuple(spot)


async def _looks(server: Server, about: Any) -> object:
    """What names of the test look like here."""
    twins = getattr(server.codec, "twins", None)
    return looks_of(about, server.live["app"], _knows_none if twins is None else twins.knows_address)


def _knows_none(address: int) -> bool:
    return False


async def _leaks(server: Server, about: Any) -> object:
    """``client.leaks``: what the app has left behind; whether that is not to be told again."""
    return await server.tell_leaks(about)


async def _ping(server: Server, about: Any) -> object:
    """That proof alone."""
    return None


QUESTIONS: Final[Mapping[str, Callable[[Server, Any], Awaitable[object]]]] = {
    "call": _call,
    "state": _state,
    "tasks": _tasks,
    "whereabouts": _whereabouts,
    "looks": _looks,
    "leaks": _leaks,
    "ping": _ping,
}
"""What can be asked, by name."""


class QuestionCall(Call):
    """A question to the app's process, on the loop that the app runs on."""

    kind: ClassVar[CallKind] = "question"

    def __init__(self, server: Server, stream: Stream, argument: Any) -> None:
        super().__init__(server, stream, argument)
        self.name, self._about = argument

    async def call(self) -> object:
        return await QUESTIONS[self.name](self.server, self._about)

    def returned(self, value: object) -> None:
        self.server.end(self, Returned(value))


# -- a result of client.call that can't cross: what to write instead


def _no_way_back(error: ObjectNotSendable, func: object, arguments: Collection[object]) -> ObjectNotSendable:
    """The error for the result of a function, with the line that does instead."""
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
