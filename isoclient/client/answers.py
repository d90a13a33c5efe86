"""The last answers of a copy of the app, for the report of a failed test.

They are noted for every request, so that nothing but references is kept, and little of a body. What they are in words
is for whoever reports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from isoclient.system.modules import time

if TYPE_CHECKING:
    from isoclient.client.call import Call

__all__ = ["BEGINNING", "Answer", "Answers"]

_KEPT: Final = 5
BEGINNING: Final = 800
"""How much of a body is kept, in bytes."""


class Answer:
    """What has come of one request.

    Args:
        scope: that of the request.

    Attributes:
        method: of the request.
        path: likewise.
        query: likewise.
        seconds: how long it took; while it is under way, None.
        status: of the response; None before that has started.
        headers: likewise.
        body: the beginning of the body.
        raised: the name of the exception that the request has raised, if it has.
        where: where the app was when somebody else ended the request, in words, which may be empty; None if nobody has.
        is_cancelled: whether it was ended like that by the task that waited for it, for whatever reason.
    """

    # Of the class, for one is made for each request: what does not come is not set.
    seconds: float | None = None
    status: int | None = None
    headers: Any = ()
    body = b""
    raised: str | None = None
    where: str | None = None
    is_cancelled = False

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.method: str = scope.get("method", "")
        self.path: str = scope.get("path", "")
        self.query: bytes = scope.get("query_string", b"")
        self._began = time.monotonic()

    def take(self, message: Mapping[str, Any]) -> None:
        """Note a message of the app that passes by."""
        kind = message.get("type")
        if kind == "http.response.body":
            if len(self.body) < BEGINNING:
                self.body += message.get("body", b"")[:BEGINNING]
        elif kind == "http.response.start":
            self.status = message.get("status")
            self.headers = message.get("headers", ())

    def end(self) -> None:
        """The request is over, or what is left of it is for somebody else to read."""
        self.seconds = time.monotonic() - self._began

    def fail(self, error: BaseException, call: Call) -> None:
        """The request has raised. Where something from outside has ended it, as a time limit, note where the app is."""
        self.end()
        if call.interrupted:
            self.where = call.whereabouts()
        else:
            self.raised = type(error).__name__

    @property
    def was_ended(self) -> bool:
        """Whether neither the app nor whoever asked it has ended it by an answer or an exception."""
        return self.is_cancelled or self.where is not None

    @property
    def seconds_so_far(self) -> float:
        """How long it has been under way."""
        return time.monotonic() - self._began if self.seconds is None else self.seconds


class Answers(deque[Answer]):
    """The last ones, the oldest first."""

    def __init__(self) -> None:
        super().__init__(maxlen=_KEPT)

    def begin(self, scope: Mapping[str, Any]) -> Answer:
        """A request begins."""
        answer = Answer(scope)
        self.append(answer)
        return answer
