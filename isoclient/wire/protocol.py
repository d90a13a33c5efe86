"""The terms of the protocol: which frames there are and who sends them, what a call of the app is, and how one ends.

The two ends are the *client*, which is the test's, and the *server*, which is the app's. What they share is a number of
*streams*. A stream is one call of the app, and only the client begins one::

    client                                          server
    OPEN    a CallSpec, with the first messages ->
    EVENT   a message for the app               ->
                                                <-  EVENT   a message of the app
    CREDIT  go on, so many units more           <-> CREDIT
                                                <-  SCOPE   what the app has put into its scope
    CANCEL  nobody waits any more               ->
                                                <-  END     an Outcome, with the last messages

Each side sends EVENT frames within the credit that it has (see :mod:`isoclient.wire.mux`). END is the last frame of
a stream; what the client has sent on it before it knows of that is dropped.

What is not of a stream is said on stream 0: READY or FAILED is the first frame of the server, and STOP, answered by
ENDING, the last of the client. LEAVING may be the very last of a server. CONTEXT and DEBUG come whenever there is
something to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

__all__ = [
    "BROKEN",
    "CANCEL",
    "CONTEXT",
    "CREDIT",
    "DEBUG",
    "END",
    "ENDING",
    "EVENT",
    "FAILED",
    "KINDS",
    "LEAVING",
    "LIFESPANS",
    "NAMES",
    "OPEN",
    "OUTCOMES",
    "PACKED",
    "READY",
    "SCOPE",
    "SENT_BY",
    "STOP",
    "WANTED",
    "CallKind",
    "CallSpec",
    "Cancelled",
    "Damaged",
    "Exited",
    "Message",
    "Outcome",
    "Raised",
    "Returned",
    "Role",
    "Unfinished",
    "Unsupported",
    "WireError",
    "question",
]


class WireError(Exception):
    """What came over the pipe is not what the other side of it sends: a frame is damaged, or not a frame at all."""


Role = Literal["client", "server"]
"""Which end: the test's, or the app's."""

Message = dict[str, Any]
"""An event of ASGI."""

# -- frames

OPEN: Final = 1
"""a stream begins; the value is a :class:`CallSpec`."""
EVENT: Final = 2
"""one ASGI message of a stream."""
CREDIT: Final = 3
"""so many more units may be sent on a stream."""
CANCEL: Final = 4
"""nobody waits for this stream any more; the value is how long, in seconds, the app may go on; None for the usual."""
END: Final = 5
"""the last frame of a stream; the value is an :data:`Outcome`, and the last messages, which need no frames then."""
READY: Final = 6
"""the app is loaded and the loop runs; there is no value."""
FAILED: Final = 7
"""the app could not be loaded; the value is a packed exception."""
STOP: Final = 8
"""end in order."""
CONTEXT: Final = 9
"""what must be in force in the app as in the test, and has changed, such as logging levels."""
DEBUG: Final = 10
"""a debugger wants the terminal for its process group, the value; None to give it back."""
SCOPE: Final = 11
"""what has come into the scope of a stream, by key, or has changed there."""
ENDING: Final = 12
"""the server has heard that it is to end, and does; a process that ends without has died."""
LEAVING: Final = 13
"""nothing is left to be done in the process of the server, nor to be seen of it, until the system takes it apart."""

NAMES: Final[Mapping[int, str]] = {
    OPEN: "OPEN",
    EVENT: "EVENT",
    CREDIT: "CREDIT",
    CANCEL: "CANCEL",
    END: "END",
    READY: "READY",
    FAILED: "FAILED",
    STOP: "STOP",
    CONTEXT: "CONTEXT",
    DEBUG: "DEBUG",
    SCOPE: "SCOPE",
    ENDING: "ENDING",
    LEAVING: "LEAVING",
}
"""All kinds of frames, with their names."""

SENT_BY: Final[Mapping[Role, tuple[frozenset[int], frozenset[int]]]] = {
    "client": (frozenset({OPEN, EVENT, CREDIT, CANCEL}), frozenset({STOP, CONTEXT})),
    "server": (frozenset({EVENT, CREDIT, SCOPE, END}), frozenset({READY, FAILED, DEBUG, ENDING, LEAVING})),
}
"""What each end may send: on a stream, and on none."""

# -- how a call begins

CallKind = Literal["http", "websocket", "lifespan", "relayed", "relayed-lifespan", "question"]
"""What a client can begin: calls of the app, its own or those of somebody else, and questions to its process."""
KINDS: Final = frozenset(get_args(CallKind))
"""All of them."""
LIFESPANS: Final = frozenset({"lifespan", "relayed-lifespan"})
"""The calls that last as long as the app, and are ended last."""


class CallSpec(NamedTuple):
    """What the client asks for: the value of an OPEN frame.

    Args:
        kind: what is called.
        argument: what with: for ``"http"`` and ``"websocket"``, the scope; see :func:`question`; for a relayed call the
            scope, and packed, what else is in it.
        messages: the first messages for the app, which need no frames of their own.
        variables: the :class:`contextvars.Context` to call it in, where both ends are in one process; else None.

    Example:
        >>> CallSpec("http", {"type": "http", "path": "/"}).messages
        ()
    """

    kind: CallKind
    argument: Any
    messages: tuple[Message, ...] = ()
    variables: Any = None


WANTED: Final = "isoclient.wanted"
"""Of a relayed call: the type of the message by which the app asks for one of somebody else's ``receive``."""
BROKEN: Final = "isoclient.broken"
"""Of a relayed call: the type of the message that tells the app what somebody else's ``receive`` or ``send`` raised.

It has that as ``error``, packed, and which of the two it was as ``by``.
"""
PACKED: Final = "isoclient.packed"
"""Of a relayed call: the key of what could not be in a message as it is, packed."""


def question(name: str, about: Any = None) -> CallSpec:
    """A question to the process of the app, beside calls of that.

    Args:
        name: one of those that the server knows, in :mod:`isoclient.server.calls.questions`.
        about: what it is about.
    """
    return CallSpec("question", (name, about))


# -- how a call ends: each outcome has its tag, by which two are told apart that say nothing else, and crosses by it


class Returned(NamedTuple):
    """The call has returned.

    Args:
        value: what, as the codec packs it; None for calls of the app.
    """

    value: Any = None
    tag: str = "returned"


class Raised(NamedTuple):
    """The call has raised.

    Args:
        error: the exception, as the codec packs it.
    """

    error: Any
    tag: str = "raised"


class Exited(NamedTuple):
    """The call has raised what ends the app's process too: ``SystemExit`` or the like, or what its limits raise.

    Args:
        code: the exit status that the process will have.
        error: the exception, as the codec packs it.
        limit: the name of the limit that it has hit; None if it was none.
    """

    code: int
    error: Any
    limit: str | None
    tag: str = "exited"


class Unfinished(NamedTuple):
    """The app has returned, and owes something by the rules of ASGI.

    Args:
        what: in words.
    """

    what: str
    tag: str = "unfinished"


class Cancelled(NamedTuple):
    """The call was cancelled, for nobody waited for it any more."""

    tag: str = "cancelled"


class Unsupported(NamedTuple):
    """The app does not know this kind of scope: it has no lifespan."""

    tag: str = "unsupported"


class Damaged(NamedTuple):
    """A frame of the stream made no sense. It is the client's own finding, and never crosses.

    Args:
        error: what is wrong with it.
    """

    error: WireError
    tag: str = "damaged"


Outcome: TypeAlias = Returned | Raised | Exited | Unfinished | Cancelled | Unsupported | Damaged
"""How a call has ended."""

OUTCOMES: Final[Mapping[object, Any]] = {
    "returned": Returned,
    "raised": Raised,
    "exited": Exited,
    "unfinished": Unfinished,
    "cancelled": Cancelled,
    "unsupported": Unsupported,
}
"""Those that cross, by their tags."""
