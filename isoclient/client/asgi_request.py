"""A prepared request in the terms of ASGI HTTP 2.5: its scope, and its body as ``http.request`` messages.

Of the scope the server adds ``asgi``, ``state`` and ``extensions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import requests
from requests.exceptions import InvalidHeader

from isoclient.client.headers import Repeated
from isoclient.compat.requests_ import PLAIN_HEADERS, STORE

__all__ = ["PIECE", "as_bytes", "http_scope", "messages", "messages_of_pieces", "websocket_scope", "whole"]

PIECE: Final = 256 * 1024
"""The longest body that one message carries, in bytes; a longer one goes in several, as from a server.

So much asyncio reads at once for a server. With a quarter of it, each message fills the buffer that frames are looked
for in, and is copied once more: that takes 1.6 times the processor time.
"""

_AS_THEY_ARE: Final = frozenset({type(None), bytes, str, list, dict, tuple})

# What the name of a header is made of (RFC 9110, 5.6.2), without the capitals.
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def http_scope(request: requests.PreparedRequest, root_path: str, client: tuple[str, int]) -> dict[str, Any]:
    """The scope of an HTTP request."""
    target = _target(request.url or "")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        **_common(request, target, target.scheme, root_path, client),
    }


def websocket_scope(request: requests.PreparedRequest, root_path: str, client: tuple[str, int]) -> dict[str, Any]:
    """The scope of a WebSocket whose handshake is this request."""
    target = _target(request.url or "")
    return {
        "type": "websocket",
        "http_version": "1.1",
        **_common(request, target, "wss" if target.scheme == "https" else "ws", root_path, client),
        "subprotocols": _subprotocols(request.headers.get("sec-websocket-protocol", "")),
    }


def _subprotocols(header: str | bytes) -> list[str]:
    """Those that the handshake offers, in the order of preference (RFC 6455, 4.2.1)."""
    text = header if isinstance(header, str) else header.decode("latin-1")
    return [name for part in text.split(",") if (name := part.strip(" \t"))]


class _Target(NamedTuple):
    """What a URL says."""

    scheme: str
    host: str
    port: int | None
    path: str
    raw_path: bytes
    query: bytes


@lru_cache(maxsize=512)
def _target(text: str) -> _Target:
    url = urlsplit(text)
    path = url.path or "/"
    raw_path = path.encode("ascii", "surrogateescape") if path.isascii() else path.encode()
    return _Target(url.scheme.lower(), url.hostname or "", url.port, unquote(path), raw_path, url.query.encode())


def _common(
    request: requests.PreparedRequest, target: _Target, scheme: str, root_path: str, client: tuple[str, int]
) -> dict[str, Any]:
    port = target.port or _PORTS[scheme]
    return {
        "scheme": scheme,
        "path": target.path,
        "raw_path": target.raw_path,
        "query_string": target.query,
        "root_path": root_path,
        "headers": list(_encoded(tuple(_pairs(request.headers)), target.host, port, scheme)),
        "client": client,
        "server": (target.host, port),
    }


def _pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    if type(headers) is PLAIN_HEADERS:
        headers = vars(headers)[STORE]  # whose values are pairs; as a mapping, it takes calls of Python for each
        return headers.values()  # type: ignore[no-any-return]
    return headers.items()  # type: ignore[no-any-return]


@lru_cache(maxsize=128)  # of few requests: what is in a header may be large
def _encoded(pairs: tuple[tuple[Any, Any], ...], host: str, port: int, scheme: str) -> list[tuple[bytes, bytes]]:
    headers = [(_name(name), _value(name, part)) for name, value in pairs for part in _parts(value)]
    if all(name != b"host" for name, _ in headers):
        name = f"[{host}]" if ":" in host else host
        headers.insert(0, (b"host", _bytes(name if port == _PORTS[scheme] else f"{name}:{port}")))
    return headers


def _parts(value: Any) -> Iterable[str | bytes]:
    return value.parts if isinstance(value, Repeated) else (value,)


def _name(name: str | bytes) -> bytes:
    read = _bytes(name).lower()
    if not read or read.translate(None, _TOKEN):
        must = "it is made of letters, digits and dashes: a server would refuse the request"
        raise InvalidHeader(f"{name!r} is no name of a header; {must}")
    return read


def _value(name: str | bytes, value: str | bytes) -> bytes:
    """As a server reads it: what is around it is not part of it (RFC 9110, 5.5)."""
    read = _bytes(value)
    if 10 in read or 13 in read or 0 in read:
        raise InvalidHeader(f"the value of the header {name!r} holds a line break or a NUL: {value!r}")
    return read.strip(b" \t")


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


# -- the body


def as_bytes(data: Any) -> Any:
    """The same body; as bytes, if it is anything else that has the buffer protocol.

    requests would take the length of an array for the number of its bytes, and a matrix for no value at all.

    Example:
        >>> import array
        >>> as_bytes(array.array("H", [0x4141, 0x4242])), as_bytes({"a": "1"})
        (b'AABB', {'a': '1'})
    """
    if type(data) in _AS_THEY_ARE or hasattr(data, "read"):
        return data
    content = _buffer(data)
    return data if content is None else content


def whole(body: Any) -> bytes | None:
    """All of the body of a :class:`requests.PreparedRequest`; None if it has yet to be read or produced."""
    if body is None:
        return b""
    body = as_bytes(body)
    return body.encode() if isinstance(body, str) else _buffer(body)


def messages(body: bytes) -> Iterator[dict[str, Any]]:
    """The messages for a body that is whole. But for the first, they may have views of it: they are bytes on arrival.

    Example:
        >>> list(messages(b"data"))
        [{'type': 'http.request', 'body': b'data', 'more_body': False}]
    """
    size = len(body)
    if size <= PIECE:
        return iter((_message(body, more=False),))
    view = memoryview(body)
    others = (_message(view[at : at + PIECE], more=at + PIECE < size) for at in range(PIECE, size, PIECE))
    return chain((_message(body[:PIECE], more=True),), others)


def messages_of_pieces(body: Any) -> Iterator[dict[str, Any]]:
    """The messages for a file or an iterable, which come as its pieces are read or produced.

    Raises:
        TypeError: a piece is neither str nor bytes.
    """
    pieces: Iterable[Any] = _read(body) if hasattr(body, "read") else body
    for number, piece in enumerate(pieces):
        content = _piece(piece, number)
        if content:
            yield _message(content, more=True)
    yield _message(b"", more=False)


def _read(file: Any) -> Iterator[Any]:
    while piece := file.read(PIECE):
        yield piece


def _piece(piece: Any, number: int) -> bytes:
    if piece is None:
        return b""
    content = piece.encode() if isinstance(piece, str) else _buffer(piece)
    if content is None:
        what = f"piece {number} of the request's body is of type {type(piece).__name__} ({piece!r:.80})"
        raise TypeError(f"{what}; each piece is bytes or str. A body of single bytes is bytes(...) of them")
    return content


def _buffer(value: Any) -> bytes | None:
    if type(value) is bytes:
        return value
    try:
        return memoryview(value).tobytes()
    except TypeError:
        return None  # it has no buffer


def _message(body: bytes | memoryview, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}
