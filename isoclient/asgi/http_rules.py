"""One HTTP request: from no response to a whole one (ASGI HTTP 2.5, and the extensions that add messages to it)."""

from __future__ import annotations

from isoclient.asgi.rules import BodyRules
from isoclient.asgi.schemas import BODY, DEBUG, EARLY_HINT, PATHSEND, START, TEMPLATE, TRAILERS, Wrong
from isoclient.asgi.tables import Protocol, table
from isoclient.errors import AppProtocolError

__all__ = ["HTTPRules"]

NEW = "no response yet"
DEBUGGED = "no response yet, debug info sent"
STARTED = "response started"
ANNOUNCED = "response started, trailers announced"
BODIED = "response body under way"
BODIED_ANNOUNCED = "response body under way, trailers announced"
TRAILING = "response body complete, trailers expected"
COMPLETE = "response complete"

# An early hint is taken before the start too: the spec has it after, but there a client has no more use for it.
_TABLE = table({
    NEW: [(START, STARTED, ANNOUNCED), (EARLY_HINT, NEW), (DEBUG, DEBUGGED), (TEMPLATE, DEBUGGED)],
    DEBUGGED: [(START, STARTED, ANNOUNCED), (EARLY_HINT, DEBUGGED)],
    STARTED: [(BODY, COMPLETE, BODIED), (PATHSEND, COMPLETE), (EARLY_HINT, STARTED)],
    ANNOUNCED: [(BODY, TRAILING, BODIED_ANNOUNCED), (PATHSEND, TRAILING), (EARLY_HINT, ANNOUNCED)],
    BODIED: [(BODY, COMPLETE, BODIED), (EARLY_HINT, BODIED)],
    BODIED_ANNOUNCED: [(BODY, TRAILING, BODIED_ANNOUNCED), (EARLY_HINT, BODIED_ANNOUNCED)],
    TRAILING: [(TRAILERS, COMPLETE, TRAILING)],
    COMPLETE: [],
})  # fmt: skip

_ORDER = {
    START.kind: "a response is started once",
    BODY.kind: "no body may follow the last one or a path",
    TRAILERS.kind: "http.response.start has to announce them with 'trailers': True",
    PATHSEND.kind: "a path is sent once, in place of every http.response.body",
    EARLY_HINT.kind: "hints go before the last http.response.body",
    DEBUG.kind: "debug info is sent once, before http.response.start",
    TEMPLATE.kind: "a template is sent once, before http.response.start, and without http.response.debug",
}

_NO_RESPONSE = "the app returned without sending a response"
_NO_BODY = "the app returned after http.response.start without a body; send http.response.body"
_NO_LAST = "the app returned without the last http.response.body (more_body was True)"
_NO_TRAILERS = "the app returned without http.response.trailers, or without the last of them (more_trailers was True)"

_UNFINISHED = {
    NEW: _NO_RESPONSE,
    DEBUGGED: _NO_RESPONSE,
    STARTED: _NO_BODY,
    ANNOUNCED: _NO_BODY,
    BODIED: _NO_LAST,
    BODIED_ANNOUNCED: _NO_LAST,
    TRAILING: _NO_TRAILERS,
}


class HTTPRules(BodyRules):
    """The rules of one HTTP stream (ASGI HTTP 2.5; extensions trailers, path send, early hints and debug).

    Example:
        >>> rules = HTTPRules()
        >>> rules.check({"type": "http.response.start", "status": 204})
        {'type': 'http.response.start', 'status': 204, 'headers': [], 'trailers': False}
        >>> rules.unfinished()
        'the app returned after http.response.start without a body; send http.response.body'
        >>> rules.check({"type": "http.response.body"})
        {'type': 'http.response.body', 'body': b'', 'more_body': False}
        >>> rules.state, rules.complete
        ('response complete', True)
    """

    __slots__ = ()

    _start = START
    _body = BODY
    protocol = Protocol("http", NEW, _TABLE, _ORDER, _UNFINISHED)

    @property
    def started(self) -> bool:
        """Whether ``http.response.start`` was accepted."""
        return self._state not in (NEW, DEBUGGED)

    def check_file(self, size: int) -> None:
        """The same for the size of the file whose path was sent, in bytes.

        Raises:
            AppProtocolError: it is not as long as the headers say.
        """
        try:
            self._measure("the file at 'path'", 0 if self.bodiless else size, last=True)
        except Wrong as wrong:
            raise AppProtocolError(f"{PATHSEND.kind}: {wrong} (state: {self._state})") from None
