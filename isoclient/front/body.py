"""The body of a request as ``http.request`` messages (ASGI HTTP 2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = ["PIECE", "is_whole", "messages"]

PIECE: Final = 64 * 1024
"""The longest body that one message carries, in bytes; a longer one goes in several, as from a server."""


def messages(body: Any) -> Iterator[dict[str, Any]]:
    """The messages for the body of a :class:`requests.PreparedRequest`: None, str, bytes, a file or an iterable.

    Those of an iterable come as it produces its pieces.

    Example:
        >>> list(messages(b"data"))
        [{'type': 'http.request', 'body': b'data', 'more_body': False}]
    """
    if is_whole(body):
        return _of_bytes(_encoded(body or b""))
    return _of_pieces(_read(body) if hasattr(body, "read") else body)


def is_whole(body: Any) -> bool:
    """Whether all of it is there, so that nothing has to be read or produced."""
    return body is None or isinstance(body, str | bytes | bytearray | memoryview)


def _of_bytes(body: bytes) -> Iterator[dict[str, Any]]:
    size = len(body)
    if size <= PIECE:
        yield _message(body, more=False)
        return
    for at in range(0, size, PIECE):
        yield _message(body[at : at + PIECE], more=at + PIECE < size)


def _of_pieces(pieces: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        if piece:
            yield _message(_encoded(piece), more=True)
    yield _message(b"", more=False)


def _read(file: Any) -> Iterator[Any]:
    while piece := file.read(PIECE):
        yield piece


def _encoded(piece: Any) -> bytes:
    return piece.encode() if isinstance(piece, str) else bytes(piece)


def _message(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}
