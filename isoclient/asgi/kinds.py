"""The kinds of value that a message may hold, each as a reader, headers among them.

A reader takes whatever the app sent and returns it as an exact builtin, because it is marshalled next, or raises
:class:`Wrong`. Sub-classes (an ``IntEnum`` status, a ``StrEnum`` type) are taken for the builtin they extend; their own
methods are never called, so no app code runs here, except for iterables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final


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
