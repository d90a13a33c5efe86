"""The body of a request as ``http.request`` messages (ASGI HTTP 2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = ["PIECE", "as_bytes", "messages", "messages_of_pieces", "whole"]

PIECE: Final = 64 * 1024
"""The longest body that one message carries, in bytes; a longer one goes in several, as from a server."""

_AS_THEY_ARE: Final = frozenset({type(None), bytes, str, list, dict, tuple})


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
    """The messages for a body that is whole.

    Example:
        >>> list(messages(b"data"))
        [{'type': 'http.request', 'body': b'data', 'more_body': False}]
    """
    size = len(body)
    if size <= PIECE:
        yield _message(body, more=False)
        return
    for at in range(0, size, PIECE):
        yield _message(body[at : at + PIECE], more=at + PIECE < size)


def messages_of_pieces(body: Any) -> Iterator[dict[str, Any]]:
    """The messages for a file or an iterable, which come as its pieces are read or produced.

    Raises:
        TypeError: a piece is neither str nor bytes.
    """
    pieces: Iterable[Any] = _read(body) if hasattr(body, "read") else body
    for number, piece in enumerate(pieces):
        content = _encoded(piece, number)
        if content:
            yield _message(content, more=True)
    yield _message(b"", more=False)


def _read(file: Any) -> Iterator[Any]:
    while piece := file.read(PIECE):
        yield piece


def _encoded(piece: Any, number: int) -> bytes:
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


def _message(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}
