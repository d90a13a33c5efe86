"""From values to the two parts of a frame and back; one codec for each way that the two ends can live.

:class:`ValueCodec` is for two processes. :class:`ReferenceCodec` is for two threads of one: values pass by reference,
through a table, and the frame carries only a ticket. So both modes of the client share everything else: frames, order,
flow control, deadlines.

ASGI 3.0 lets events hold bytes, str, int, float, bool, None, list and dict. :mod:`marshal` carries all of these, and
tuples, as what they are, which JSON and msgpack do not; it was measured beside them (a scope: 1.8 µs to encode and 2.3
to decode; msgspec's msgpack: 0.7 and 1.8) and is in every Python. Its known weakness, that it trusts its input, is met
by the checksums of the frames. What it refuses, servers tolerate: subclasses (``HTTPStatus``, ``SafeString``), named
tuples, mappings. Those take a second, slower way.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final, Protocol

from isoclient.wire.protocol import WireError

__all__ = ["Codec", "ReferenceCodec", "ValueCodec", "dumps", "loads"]

_VERSION: Final = 2  # later versions look for shared references, which costs more than it saves here
_BULK: Final = 2048  # from here on, in bytes, content travels beside the encoded message instead of inside it
_BULK_KEYS: Final = ("body", "bytes")
_DEEPEST: Final = 200
_EXACT: Final[tuple[type[Any], ...]] = (str, bytes, int, float)


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
        """The value back. Raises :class:`WireError` where the bytes are no value."""


class ValueCodec:
    """Between processes: the values as bytes, with bulk content left as it is.

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
                    return dumps({**value, key: ...}), content
        return dumps(value), b""

    def decode(self, meta: bytes, payload: bytes) -> Any:
        value = loads(meta)
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
    raise WireError("a frame on the pipe has a payload that its message does not call for")


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
            raise WireError(f"there is no value {meta!r} in the table") from None


def dumps(value: Any) -> bytes:
    """Encode a value.

    Raises:
        TypeError: something in it has no place in ASGI; the text says where it is.
        ValueError: a text or the like in it has 2 GiB or more.

    Example:
        >>> loads(dumps({"status": 200, "headers": [(b"a", b"b")]}))
        {'status': 200, 'headers': [(b'a', b'b')]}
    """
    try:
        return marshal.dumps(value, _VERSION)
    except ValueError:
        plain = _plain(value, "value", 0)
    try:
        return marshal.dumps(plain, _VERSION)
    except ValueError as error:
        raise ValueError("2 GiB and more can't cross at once, but for the bytes of a body or of a WebSocket") from error


def loads(data: bytes) -> Any:
    """Decode a value.

    Raises:
        WireError: the data is not what :func:`dumps` makes.
    """
    try:
        return marshal.loads(data)
    except (ValueError, EOFError, TypeError) as error:
        raise WireError(f"a value on the pipe can't be decoded: {error}") from error


def _plain(value: Any, path: str, depth: int) -> Any:
    """The value with everything in it as exactly the type that marshal knows."""
    if depth > _DEEPEST:
        raise TypeError(f"{path[:80]}...: nested more than {_DEEPEST} deep")
    if value is None or isinstance(value, bool):
        return value
    for exact in _EXACT:
        if isinstance(value, exact):
            return str.__str__(value) if exact is str else exact(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Mapping):
        return {
            _plain(key, f"{path} key", depth + 1): _plain(item, f"{path}[{key!r}]", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return _items(value, path, depth, tuple if isinstance(value, tuple) else list)
    raise TypeError(f"{path}: a {type(value).__qualname__} can't be in an ASGI message")


def _items(value: Iterable[object], path: str, depth: int, kind: type[list[Any]] | type[tuple[Any, ...]]) -> object:
    return kind(_plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value))
