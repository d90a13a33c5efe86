"""The messages that an app may send: the keys of each, the kinds of their values, and their defaults.

A *reader* takes whatever the app sent as a value and returns it as an exact builtin, because it is marshalled next, or
raises :class:`Wrong`. Sub-classes (an ``IntEnum`` status, a ``StrEnum`` type) are taken for the builtin they extend;
their own methods are never called, so no app code runs here, except for iterables.

Order is no concern here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Message = dict[str, Any]
Field = tuple[str, Callable[[object], object], object]
"""A key, its reader and its default."""


# -- kinds of values, headers among them


class Wrong(Exception):
    """A value that may not be sent.

    Args:
        what: what is wrong with it, as the rest of a sentence that begins with the name of its key.
        must: what to send instead, as a sentence of its own.
    """

    def __init__(self, what: str, must: str) -> None:
        super().__init__(what, must)
        self.what = what
        self.must = must

    def __str__(self) -> str:
        return f"{self.what}; {self.must}"

    def inside(self, where: str) -> None:
        """Put the name of the place before the complaint."""
        self.what = f"{where}{self.what}"


def short(value: object, limit: int = 80) -> str:
    """A ``repr`` of at most ``limit`` characters, which never raises.

    Example:
        >>> short("x" * 1000, limit=10)
        "'xxxxxx..."
    """
    try:
        # Only the beginning of a long body is worth the time that its repr takes.
        text = repr(value[:limit] if isinstance(value, (str, bytes, bytearray)) else value)
    except Exception as error:
        text = f"<its repr raised {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def wrong_type(value: object, must: str) -> Wrong:
    return Wrong(f" is of type {type(value).__name__} ({short(value)})", must)


def wrong_value(value: object, must: str) -> Wrong:
    return Wrong(f" is {short(value)}", must)


def boolean(value: object) -> bool:
    if value is True or value is False:
        return value
    raise wrong_type(value, "it must be a bool")


def integer(value: object, must: str = "it must be an int") -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    raise wrong_type(value, must)


def status(value: object) -> int:
    if type(value) is int and 100 <= value <= 999:
        return value
    must = "it must be an int from 100 to 999, e.g. 200"
    code = integer(value, must)
    if not 100 <= code <= 999:
        raise wrong_value(code, must)
    return code


def close_code(value: object) -> int:
    """A code that RFC 6455 (7.4) allows in a close frame."""
    code = integer(value)
    if not 1000 <= code <= 4999 or code in (1004, 1005, 1006, 1015):
        raise wrong_value(code, "it must be a code that a close frame may hold: 1000 to 4999, not 1004 to 1006 or 1015")
    return code


def binary(value: object, must: str = "it must be bytes") -> bytes:
    if type(value) is bytes:
        return value
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise wrong_type(value, must)
    try:
        return memoryview(value).tobytes()  # A copy: the app may go on writing in its bytearray.
    except ValueError as error:
        raise Wrong(f" cannot be read ({error})", must) from error


def line(value: object, must: str = "it must be bytes") -> bytes:
    """Bytes for a header line: without the characters by which one line would become two."""
    read = value if type(value) is bytes else binary(value, must)
    if 10 in read or 13 in read or 0 in read:  # As numbers, LF, CR and NUL are found eight times faster.
        raise Wrong(f" holds a line break or a NUL ({short(read)})", must)
    return read


def string(value: object, must: str = "it must be a str") -> str:
    if isinstance(value, str):
        return str.__str__(value)
    raise wrong_type(value, must)


def text(value: object, must: str = "it must be a str") -> str:
    """A string for the wire, which has to be UTF-8."""
    read = string(value, must)
    try:
        if not read.isascii():
            read.encode()
    except UnicodeEncodeError as error:
        raise Wrong(f" is not encodable as UTF-8 ({short(error.object[error.start : error.end])})", must) from None
    return read


def optional_text(value: object) -> str | None:
    return None if value is None else text(value, "it must be a str or None")


def optional_binary(value: object) -> bytes | None:
    return None if value is None else binary(value, "it must be bytes or None")


def reason(value: object) -> str:
    return optional_text(value) or ""


def any_reason(value: object) -> str:
    return reason(value) if value is None or isinstance(value, str) else str(value)


def subprotocol(value: object) -> str | None:
    must = "it must be a str of printable ASCII, or None"
    if value is None:
        return None
    read = string(value, must)
    if not (read.isascii() and read.isprintable()):
        raise wrong_value(read, must)
    return read


def path(value: object) -> str:
    """A path, which the spec wants absolute; one that is not is meant from the directory that the app is in."""
    must = "it must be the path of a file, a str"
    read = string(value, must)
    if not read or "\0" in read:
        raise wrong_value(read, must)
    return read


def anything(value: object) -> object:
    return value


def info(value: object) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    raise wrong_type(value, "it must be a dict")


def listed(value: object, must: str) -> list[Any]:
    """The items of any iterable, but for those whose items are certainly not what was meant: strings and mappings."""
    if type(value) is list:
        return value
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(value, Iterable):
        raise wrong_type(value, must)
    try:
        return list(value)
    except Exception as error:
        raise Wrong(f" raised {type(error).__name__} when it was iterated over", must) from error


# -- headers, as ASGI HTTP 2.5 has them: an iterable of [name, value], both bytes, the names in lower case

Headers = list[tuple[bytes, bytes]]

# What a field name is made of (RFC 9110, 5.6.2), without the capitals.
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"

_PAIRS: Final = "send an iterable of [name, value] pairs of bytes, e.g. [(b'content-type', b'text/plain')]"
_LINKS: Final = "send an iterable of bytes, e.g. [b'</style.css>; rel=preload']"


def headers(value: object, *, lower: bool = True) -> Headers:
    """Each header as a tuple, its name in lower case, or with ``lower=False`` as it is.

    Example:
        >>> headers([[b"X-A", bytearray(b"1")]])
        [(b'x-a', b'1')]
    """
    items = listed(value, _PAIRS)
    read: Headers = []
    try:
        for item in items:
            name, content = item if type(item) is tuple and len(item) == 2 else _pair(item)
            if type(name) is not bytes or not name or name.translate(None, _TOKEN):
                name = _name(name, lower)
            if type(content) is not bytes or 10 in content or 13 in content or 0 in content:
                content = _content(content, name)
            read.append((name, content))
    except Wrong as wrong:
        wrong.inside(f"[{len(read)}]")
        raise
    return read


def accept_headers(value: object) -> Headers:
    """Those of a WebSocket's acceptance, which the test gets as the app sent them."""
    read = headers(value, lower=False)
    if any(name.lower() == b"sec-websocket-protocol" for name, _ in read):
        raise Wrong(" hold sec-websocket-protocol", "send it as 'subprotocol' instead")
    return read


def links(value: object) -> list[bytes]:
    items = listed(value, _LINKS)
    read: list[bytes] = []
    try:
        for item in items:
            read.append(line(item, "each link is bytes without line breaks"))
    except Wrong as wrong:
        wrong.inside(f"[{len(read)}]")
        raise
    return read


def _pair(item: object) -> list[object]:
    must = "each header is a pair of bytes, (name, value)"
    pair = listed(item, must)
    if len(pair) != 2:
        raise Wrong(f" has {len(pair)} items ({short(item)})", must)
    return pair


def _name(value: object, lower: bool) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        example = str.lower(value)[:40].encode("ascii", "replace") if isinstance(value, str) else b"x-a"
        what = f" has a name of type {type(value).__name__} ({short(value)})"
        raise Wrong(what, f"header names are lower-case bytes, e.g. {example!r}")
    sent = binary(value)
    name = sent.lower()
    if name[:1] == b":":
        raise Wrong(f" is the pseudo header {short(name)}", "leave it out: servers make pseudo headers themselves")
    if not name or name.translate(None, _TOKEN):
        raise Wrong(f" has the name {short(name)}", "header names are letters, digits and dashes, e.g. b'x-a'")
    return name if lower else sent


def _content(value: object, name: bytes) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return line(value, f"the value of {short(name)} must be bytes without line breaks")
    what = f" ({short(name)}) has a value of type {type(value).__name__} ({short(value)})"
    raise Wrong(what, "header values are bytes, e.g. b'1'")


# -- messages

_REQUIRED = object()  # No reader takes it, so that a missing key costs nothing to look for.


class Schema:
    """One type of message.

    Args:
        kind: its ``type``.
        fields: for each key its name, its reader and its default.
        flag: the key of the bool, if any, on which the next state depends: ``more_body``, for one.
        also: what holds between keys; it may change the message, and raises :class:`Wrong`.
    """

    __slots__ = ("also", "fields", "flag", "kind")

    def __init__(
        self, kind: str, *fields: Field, flag: str | None = None, also: Callable[[Message], None] | None = None
    ) -> None:
        self.kind = kind
        self.fields = fields
        self.flag = flag
        self.also = also

    def read(self, message: Message) -> Message:
        """A fresh message with every key of the schema, and no other.

        Raises:
            Wrong: a key is missing, or has a value of a wrong kind; the text names the key.
        """
        read: Message = {"type": self.kind}
        try:
            for key, reader, default in self.fields:
                read[key] = reader(message.get(key, default))
        except Wrong as wrong:
            if key not in message:
                raise Wrong(f"{key!r} is missing", wrong.must) from None
            wrong.inside(repr(key))
            raise
        if self.also is not None:
            self.also(read)
        return read


def _one_of_text_and_bytes(message: Message) -> None:
    if (message["text"] is None) is (message["bytes"] is None):
        have = "neither" if message["text"] is None else "both"
        raise Wrong(f"{have} of 'text' and 'bytes' is set", "send exactly one of them, a str or bytes")


def _without_trailers(message: Message) -> None:
    # The denial response has the keys of the other, but no message to send the trailers with.
    message["trailers"] = False


_START: tuple[Field, ...] = (
    ("status", status, _REQUIRED),
    ("headers", headers, ()),
    ("trailers", boolean, False),
)
_BODY: tuple[Field, ...] = (("body", binary, b""), ("more_body", boolean, False))
_TRAILERS: tuple[Field, ...] = (("headers", headers, _REQUIRED), ("more_trailers", boolean, False))
_REASON: Field = ("reason", reason, "")
_ACCEPT: tuple[Field, ...] = (("subprotocol", subprotocol, None), ("headers", accept_headers, ()))
_SEND: tuple[Field, ...] = (("text", optional_text, None), ("bytes", optional_binary, None))
_WHY: Field = ("message", string, "")

START = Schema("http.response.start", *_START, flag="trailers")
BODY = Schema("http.response.body", *_BODY, flag="more_body")
TRAILERS = Schema("http.response.trailers", *_TRAILERS, flag="more_trailers")
PATHSEND = Schema("http.response.pathsend", ("path", path, _REQUIRED))
EARLY_HINT = Schema("http.response.early_hint", ("links", links, _REQUIRED))
DEBUG = Schema("http.response.debug", ("info", info, _REQUIRED))
TEMPLATE = Schema("http.response.template", ("template", anything, None), ("context", info, _REQUIRED))

ACCEPT = Schema("websocket.accept", *_ACCEPT)
SEND = Schema("websocket.send", *_SEND, also=_one_of_text_and_bytes)
CLOSE = Schema("websocket.close", ("code", close_code, 1000), _REASON)
# Before the handshake is answered, a close is a plain 403: neither goes anywhere, and no server looks at them. FastAPI
# gives a list of what is wrong with the input as the reason.
REFUSE = Schema("websocket.close", ("code", integer, 1000), ("reason", any_reason, ""))
DENIAL_START = Schema("websocket.http.response.start", *_START, also=_without_trailers)
DENIAL_BODY = Schema("websocket.http.response.body", *_BODY, flag="more_body")

STARTUP_COMPLETE = Schema("lifespan.startup.complete")
STARTUP_FAILED = Schema("lifespan.startup.failed", _WHY)
SHUTDOWN_COMPLETE = Schema("lifespan.shutdown.complete")
SHUTDOWN_FAILED = Schema("lifespan.shutdown.failed", _WHY)
