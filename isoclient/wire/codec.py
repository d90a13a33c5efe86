"""From values to the two parts of a frame and back; one codec for each way that the two ends can live.

:class:`ValueCodec` is for two processes. :class:`ReferenceCodec` is for two threads of one: values pass by reference,
through a table, and the frame carries only a ticket. So both modes of the client share everything else: frames, order,
flow control, deadlines.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Final, Protocol

from isoclient.wire import values
from isoclient.wire.protocol import LinkError

__all__ = ["Codec", "ReferenceCodec", "ValueCodec"]

_BULK: Final = 2048  # from here on, in bytes, content travels beside the encoded message instead of inside it
_BULK_KEYS: Final = ("body", "bytes")


class Codec(Protocol):
    """How values get into frames."""

    @property
    def by_reference(self) -> bool:
        """Whether the other side gets the very objects."""

    def encode(self, value: object) -> tuple[bytes, bytes]:
        """A value as the meta part and the payload of a frame.

        Raises:
            TypeError: it can't cross.
            ValueError: it is too large.
        """

    def decode(self, meta: bytes, payload: bytes) -> Any:
        """The value back. Raises :class:`LinkError` where the bytes are no value."""


class ValueCodec:
    """Between processes: :mod:`isoclient.wire.values`, with bulk content left as it is.

    Example:
        >>> codec = ValueCodec()
        >>> meta, payload = codec.encode({"type": "http.response.body", "body": b"x" * 5000})
        >>> len(meta) < 100, len(payload)
        (True, 5000)
        >>> len(codec.decode(meta, payload)["body"])
        5000
    """

    by_reference = False

    def encode(self, value: object) -> tuple[bytes, bytes]:
        if type(value) is dict:
            for key in _BULK_KEYS:
                content = value.get(key)
                if type(content) is bytes and len(content) >= _BULK:
                    return values.dumps({**value, key: ...}), content
        return values.dumps(value), b""

    def decode(self, meta: bytes, payload: bytes) -> Any:
        value = values.loads(meta)
        if payload:
            _put_back(value, payload)
        return value


def _put_back(value: object, payload: bytes) -> None:
    """An ellipsis, which no ASGI message holds, marks where the payload belongs."""
    if isinstance(value, dict):
        for key in _BULK_KEYS:
            if value.get(key) is ...:
                value[key] = payload
                return
    raise LinkError("a frame on the pipe has a payload that its message does not call for")


class ReferenceCodec:
    """Between threads: a table of values, shared by both sides; the frames carry its keys.

    Example:
        >>> codec = ReferenceCodec()
        >>> thing = object()
        >>> codec.decode(*codec.encode(thing)) is thing
        True
    """

    by_reference = True

    def __init__(self) -> None:
        self._tickets = count()
        self._table: dict[bytes, object] = {}

    def encode(self, value: object) -> tuple[bytes, bytes]:
        ticket = b"%x" % next(self._tickets)
        self._table[ticket] = dict(value) if isinstance(value, Mapping) else value
        return ticket, b""

    def decode(self, meta: bytes, payload: bytes) -> Any:
        try:
            return self._table.pop(meta)
        except KeyError:
            raise LinkError(f"there is no value {meta!r} in the table of the link") from None
