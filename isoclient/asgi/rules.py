"""What the protocols have in common: a state, a check that moves it, and the measure of a response's body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from isoclient.asgi.explain import out_of_place
from isoclient.asgi.schemas import Headers, Message, Schema, Wrong, short, string
from isoclient.asgi.tables import Protocol
from isoclient.errors import AppProtocolError

__all__ = ["BodyRules", "Rules"]

_DIGITS: Final = 20  # those of a content-length: more than the longest number of bytes that any server counts


class Rules:
    """The rules of one stream: the base of the three protocols, each of which is a table and some words.

    Attributes:
        complete: whether nothing more may be sent.
    """

    __slots__ = ("_state", "complete")

    protocol: ClassVar[Protocol]

    def __init__(self) -> None:
        self._state = self.protocol.first
        self.complete = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._state}>"

    @property
    def state(self) -> str:
        """Where the stream is, in words."""
        return self._state

    def check(self, message: object) -> Message:
        """Take one message that the app sends, and move on.

        Args:
            message: what the app gave to ``send``; any mapping will do.

        Returns:
            A fresh plain dict which holds every key that the spec has for this type, defaults filled in, as exact
            builtins. Other keys are left out.

        Raises:
            AppProtocolError: the message may not be sent, or not now. The state is as it was before.
        """
        if type(message) is not dict:
            message = self._mapping(message)
        kind = message.get("type")
        if type(kind) is not str:
            kind = self._kind(message)
        step = self.protocol.table[self._state].get(kind)
        if step is None:
            raise AppProtocolError(out_of_place(kind, self.protocol, self._state))
        schema, after, after_flag = step
        try:
            read = schema.read(message)
        except Wrong as wrong:
            raise AppProtocolError(f"{kind}: {wrong} (state: {self._state})") from wrong.__cause__
        except Exception as error:  # A value that lies about its class, as mocks do, or one nested too deeply.
            raise AppProtocolError(f"{kind} could not be read: {short(error)} (state: {self._state})") from error
        self._state = state = after_flag if schema.flag is not None and read[schema.flag] else after
        self.complete = not self.protocol.table[state]
        return read

    def knows(self, kind: str) -> bool:
        """Whether there is such a type of message here, at whatever time."""
        return kind in self.protocol.order

    def unfinished(self) -> str | None:
        """What is missing when the app returns now, as the text of an AppProtocolError; None if nothing is."""
        return self.protocol.unfinished.get(self._state)

    def _mapping(self, message: object) -> dict[Any, Any]:
        try:
            if isinstance(message, Mapping):
                return dict(message)
        except Exception as error:
            raise self._not_a_message(message, f"could not be read: {short(error)}") from error
        raise self._not_a_message(message, "is not a mapping")

    def _kind(self, message: dict[Any, Any]) -> str:
        if "type" not in message:
            raise self._not_a_message(message, "has no 'type'")
        try:
            return string(message["type"])
        except Exception:
            what = f"has a 'type' of type {type(message['type']).__name__}, not str"
            raise self._not_a_message(message, what) from None

    def _not_a_message(self, message: object, what: str) -> AppProtocolError:
        sent = f"the message of type {type(message).__name__} ({short(message)})"
        example = f"{{'type': {next(iter(self.protocol.order))!r}, ...}}"
        return AppProtocolError(f"{sent} {what} (state: {self._state}); send a dict such as {example}")


class BodyRules(Rules):
    """The rules of a stream on which a response may be sent: its body is measured against its ``content-length``.

    That is what a server holds an app to on the wire (RFC 9112, 6.3).

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
            self._state, self.complete = before, False
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
