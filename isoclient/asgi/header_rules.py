"""Headers, as ASGI HTTP 2.5 has them: an iterable of ``[name, value]``, both bytes, the names in lower case."""

from __future__ import annotations

from isoclient.asgi.kinds import Wrong, binary, line, listed, short

__all__ = ["accept_headers", "headers", "links"]

Headers = list[tuple[bytes, bytes]]

# What a field name is made of (RFC 9110, 5.6.2), without the capitals.
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"

_PAIRS = "send an iterable of [name, value] pairs of bytes, e.g. [(b'content-type', b'text/plain')]"
_LINKS = "send an iterable of bytes, e.g. [b'</style.css>; rel=preload']"


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
