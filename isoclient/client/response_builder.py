"""What has come of a response so far, message by message (ASGI HTTP 2.5 and its extensions)."""

from __future__ import annotations

from typing import Any

from isoclient.client.response import Response
from isoclient.compat.urllib3_ import Headers

__all__ = ["ResponseBuilder"]

Message = dict[str, Any]


class ResponseBuilder:
    """Collects the messages of a response; the pieces of its body pass through.

    Attributes:
        start: the message ``http.response.start``, when it has come.
        complete: whether the response is whole.

    Example:
        >>> parts = ResponseBuilder()
        >>> parts.take({"type": "http.response.start", "status": 200, "headers": [], "trailers": False})
        >>> parts.take({"type": "http.response.body", "body": b"Hello", "more_body": False})
        b'Hello'
        >>> parts.complete
        True
    """

    def __init__(self) -> None:
        self.start: Message | None = None
        self.complete = False
        self._hints: list[str] = []
        self._debug: Message = {}
        self._trailers: Headers = []

    @property
    def head(self) -> tuple[int, Headers]:
        """Status and headers; before the start, those of a response with nothing in it.

        Starlette's clients give that where a server would write a page of its own, and suites rely on it.
        """
        return (500, []) if self.start is None else (self.start["status"], self.start["headers"])

    def take(self, message: Message) -> bytes | None:
        """Take note of a message; return the piece of the body that it carries, or None."""
        kind = message["type"]
        if kind == "http.response.body":
            return self._body(message)
        if kind == "http.response.start":
            self.start = message
        elif kind == "http.response.trailers":
            self._trailers += message["headers"]
            self.complete = not message["more_trailers"]
        elif kind == "http.response.early_hint":
            self._hints += [link.decode("latin-1") for link in message["links"]]
        elif kind == "http.response.debug":
            self._debug |= message["info"]
        return None

    def _body(self, message: Message) -> bytes:
        self.complete = not message["more_body"] and not (self.start or {}).get("trailers")
        return message["body"]  # type: ignore[no-any-return]

    def decorate(self, response: Response) -> None:
        """Put what is not head and body where the user finds it."""
        if self._debug:
            response.template = self._debug.get("template")
            response.context = self._debug.get("context")
        if self._hints:
            response.early_hints = self._hints
        for name, value in self._trailers:
            response.trailers[name.decode("latin-1")] = value.decode("latin-1")
