"""How long the body of a response may be, and has to be: what a server holds an app to on the wire (RFC 9112, 6.3)."""

from __future__ import annotations

from typing import ClassVar, Final

from isoclient.asgi.kinds import Headers, Wrong, short
from isoclient.asgi.lifecycle import Rules
from isoclient.asgi.schemas import Message, Schema
from isoclient.errors import AppProtocolError

__all__ = ["BodyRules"]

_DIGITS: Final = 20  # those of a content-length: more than the longest number of bytes that any server counts


class BodyRules(Rules):
    """The rules of a stream on which a response may be sent: its body is measured against its ``content-length``.

    Args:
        method: of the request.

    Attributes:
        bodiless: whether the response that was started has no body on the wire, for its status or the method of the
            request. What the app sends of one is dropped, and its ``content-length`` is that of another response.
    """

    __slots__ = ("_left", "_length", "_method", "bodiless")

    _start: ClassVar[Schema]
    _body: ClassVar[Schema]

    def __init__(self, method: str = "GET") -> None:
        super().__init__()
        self.bodiless = False
        self._method = method
        self._length: int | None = None  # as the headers have it
        self._left: int | None = None

    def check(self, message: object) -> Message:
        """See :meth:`Rules.check`."""
        before = self._state
        read = super().check(message)
        kind = read["type"]
        try:
            if kind == self._body.kind:
                if self.bodiless:
                    read["body"] = b""
                self._measure("'body'", len(read["body"]), last=not read["more_body"])
            elif kind == self._start.kind:
                self.bodiless = self._method == "HEAD" or read["status"] in (204, 304) or read["status"] < 200
                length = _content_length(read["headers"])
                self._length = self._left = None if self.bodiless else length
        except Wrong as wrong:
            self._state = before
            raise AppProtocolError(f"{kind}: {wrong} (state: {before})") from None
        return read

    def _measure(self, what: str, size: int, *, last: bool) -> None:
        if self._left is None:
            return
        left = self._left - size
        if left < 0 or (left and last):
            off = f"{-left} bytes longer" if left < 0 else f"{left} bytes shorter"
            must = "send as many bytes as the header says, or no content-length; a server would break the response off"
            raise Wrong(f"{what} makes the body {off} than the content-length of {self._length}", must)
        self._left = left


def _content_length(headers: Headers) -> int | None:
    """What the headers say; None where they do not, or where the body is sent in chunks."""
    found: set[bytes] = set()
    for name, value in headers:
        if name == b"content-length":
            found.update(part.strip() for part in value.split(b","))
        elif name == b"transfer-encoding":
            return None
    if not found:
        return None
    length = found.pop()
    if found:
        raise Wrong(f"'headers' hold content-lengths that differ: {short(length)}, {short(found.pop())}", "send one")
    if not length.isdigit() or len(length) > _DIGITS:
        raise Wrong(f"'headers' hold the content-length {short(length)}", "it is a number of bytes, e.g. b'42'")
    return int(length)
