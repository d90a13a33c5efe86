"""Frames: the unit of what crosses the pipe; how values get into them, how they are read, and how they are written.

A frame is a header of 24 bytes, a *meta* part (a small encoded value) and a *payload* (bulk bytes, as they are)::

    magic u16 | kind u8 | len(payload) >> 32 u8 | stream u32 | len(meta) u32 | len(payload) u32, the rest of it
    | crc(meta) u32 | crc(header so far) u32

The two checksums are not there against the kernel, which loses nothing. They are there against the app: one that closes
all its descriptors and opens files of its own, or that forks in a handler, can put bytes on our pipe. Such bytes must
end in one clear error, and must never reach :mod:`marshal`, which trusts what it reads.

How values get into the two parts is up to a codec, one for each way that the two ends can live. :class:`ValueCodec` is
for two processes. :class:`ReferenceCodec` is for two threads of one: values pass by reference, through a table, and the
frame carries only a ticket. So both modes of the client share everything else: frames, order, flow control, deadlines.

ASGI 3.0 lets events hold bytes, str, int, float, bool, None, list and dict. :mod:`marshal` carries all of these, and
tuples, as what they are, which JSON and msgpack do not; it was measured beside them (a scope: 1.8 µs to encode and 2.3
to decode; msgspec's msgpack: 0.7 and 1.8) and is in every Python. That it trusts its input is met by the checksums.
What it refuses, servers tolerate: subclasses (``HTTPStatus``, ``SafeString``), named tuples, mappings. Those take a
second, slower way.
"""

from __future__ import annotations

import marshal
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, Final, TypeAlias
from zlib import crc32

from isoclient.wire.protocol import NAMES, WireError

__all__ = [
    "SMALL",
    "Buffer",
    "Frame",
    "FrameReader",
    "Outbox",
    "ReferenceCodec",
    "ValueCodec",
    "describe",
    "dumps",
    "pack",
]

_MAGIC: Final = 0x15C1
_HEADER: Final = struct.Struct("<HBBIIIII")
_SIZE: Final = _HEADER.size
_CHECKED: Final = _SIZE - 4
_pack_header = struct.Struct("<HBBIIII").pack
_pack_checksum = struct.Struct("<I").pack
_unpack_header = _HEADER.unpack_from

SMALL: Final = 64 * 1024
"""The size of the buffer in which frames are looked for, in bytes; a longer one gets a buffer of its own."""
_FIRST: Final = 4 * 1024
"""Its size until something fills it: every client has two such buffers, and most of them never see more."""
_KEPT: Final = 2 * 1024 * 1024
_MOST_PARTS: Final = 64  # well under any IOV_MAX
_JOINED: Final = 16 * 1024  # parts up to this size are cheaper to copy together than to pass one by one

_VERSION: Final = 2  # later versions look for shared references, which costs more than it saves here
_BULK: Final = 2048  # from here on, in bytes, content travels beside the encoded message instead of inside it
_BULK_KEYS: Final = ("body", "bytes")
_DEEPEST: Final = 200
_EXACT: Final[tuple[type[Any], ...]] = (str, bytes, int, float)

Buffer: TypeAlias = bytes | memoryview

Frame: TypeAlias = tuple[int, int, bytes, bytes]
"""One frame, whole: its kind, its stream's number, and its two parts, the meta part and the payload, still encoded.

A bare tuple, for each message is one: a class for it would cost as much as to find it.
"""


def describe(frame: Frame) -> str:
    """A frame in words, for texts of errors.

    Example:
        >>> describe((5, 7, b"meta", b""))
        'END frame of stream 7 (4 + 0 bytes)'
    """
    kind, stream, meta, payload = frame
    return f"{NAMES.get(kind, kind)} frame of stream {stream} ({len(meta)} + {len(payload)} bytes)"


def pack(kind: int, stream: int, meta: bytes = b"", payload: Buffer = b"") -> bytes:
    """Encode the header and the meta part of a frame; the payload follows as it is.

    Example:
        >>> from isoclient.wire.protocol import EVENT
        >>> len(pack(EVENT, 1, b"meta", b"payload"))
        28
    """
    size = len(payload)
    head = _pack_header(_MAGIC, kind, size >> 32, stream, len(meta), size & 0xFFFFFFFF, crc32(meta))
    return head + _pack_checksum(crc32(head)) + meta


class FrameReader:
    """Finds the frames in a stream of bytes that arrives in pieces of any size.

    It is filled in place, as :class:`asyncio.BufferedProtocol` is: :meth:`get_buffer`, read into it, then
    :meth:`buffer_updated`. So a large payload is copied once between the kernel and the ``bytes`` that the app gets.

    Example:
        >>> from isoclient.wire.protocol import END
        >>> reader = FrameReader()
        >>> data = pack(END, 7, b"meta")
        >>> reader.get_buffer()[: len(data)] = data
        >>> reader.buffer_updated(len(data))
        [(5, 7, b'meta', b'')]
    """

    __slots__ = ("_end", "_error", "_filled", "_header", "_kept", "_large", "_small")

    def __init__(self) -> None:
        self._small = memoryview(bytearray(_FIRST))
        self._end = 0  # how much of _small is filled
        self._header = (0, 0, 0, 0, 0)  # of the frame in _large: kind, stream, meta, payload, crc
        self._large: memoryview | None = None  # meta and payload of a frame too long for _small
        self._filled = 0
        self._kept = memoryview(b"")
        self._error: WireError | None = None

    def get_buffer(self) -> memoryview:
        """Where the next bytes belong: a writable view, never empty."""
        if self._large is not None:
            return self._large[self._filled :]
        return self._small[self._end :]

    def buffer_updated(self, count: int) -> list[Frame]:
        """Take note of ``count`` bytes written into the buffer; return the frames that they complete.

        Raises:
            WireError: the bytes are no frames. Where frames come before the damage, they are returned, and the error is
                for the next call, or for :meth:`check`.
        """
        if self._error is not None:
            raise self._error
        if self._large is not None:
            self._filled += count
            return [self._finish_large()] if self._filled == len(self._large) else []
        self._end += count
        if self._end == len(self._small) < SMALL:
            self._grow()
        return self._take_small()

    def fail(self, error: WireError) -> None:
        """Whoever reads the frames has found that one makes no sense: this is the error from now on."""
        self._error = error

    def check(self) -> None:
        """Raise the error of damage that was found behind the last frames.

        Raises:
            WireError: there was such damage. It stays: what follows it can't be trusted.
        """
        if self._error is not None:
            raise self._error

    def unfinished(self) -> str:
        """In words, how much has come of the frame that is not whole yet; empty at a boundary. For texts of errors."""
        large, end = self._large, self._end  # taken once, for another thread may be reading
        if large is not None:
            return f"{_SIZE + self._filled} of {_SIZE + len(large)} bytes of a message"
        if end < _SIZE:
            return f"{end} bytes of a message" if end else ""
        _, _, high, _, meta_size, low, _, _ = _unpack_header(self._small)
        return f"{end} of {_SIZE + meta_size + (high << 32 | low)} bytes of a message"

    def _grow(self) -> None:
        grown = memoryview(bytearray(SMALL))
        grown[: self._end] = self._small
        self._small = grown

    def _take_small(self) -> list[Frame]:
        frames: list[Frame] = []
        # Taken out once, for slices of bytes cost half of what slices of a view do.
        data = bytes(self._small[: self._end])
        at = 0
        try:
            at = self._find_small(data, frames)
        except WireError as error:
            self._error = error
            if not frames:
                raise
        if at and self._large is None:
            self._end -= at
            if self._end:
                self._small[: self._end] = data[at:]
        return frames

    def _find_small(self, data: bytes, frames: list[Frame]) -> int:
        """Add the frames that are whole to the list; return where the first begins that is not.

        In one piece, for it is all that most messages need.
        """
        at, end = 0, len(data)
        while end - at >= _SIZE:
            magic, kind, high, stream, meta_size, low, meta_crc, head_crc = _unpack_header(data, at)
            if magic != _MAGIC or head_crc != crc32(data[at : at + _CHECKED]) or kind not in NAMES:
                raise WireError(f"expected the header of a frame on the pipe, found {data[at : at + _SIZE]!r}")
            start = at + _SIZE
            middle = start + meta_size
            stop = middle + (high << 32 | low)
            if stop > end:
                if stop - at > SMALL:
                    self._begin_large((kind, stream, meta_size, stop - middle, meta_crc), start)
                break
            meta = data[start:middle]
            if crc32(meta) != meta_crc:
                raise _damaged(kind, stream)
            frames.append((kind, stream, meta, data[middle:stop]))
            at = stop
        return at

    def _begin_large(self, header: tuple[int, int, int, int, int], start: int) -> None:
        self._header = header
        self._large = self._room(header[2] + header[3])
        self._filled = self._end - start
        self._large[: self._filled] = self._small[start : self._end]
        self._end = 0

    def _room(self, size: int) -> memoryview:
        """So much memory. It is kept for the next frame, for to get it anew from the system costs more than a copy."""
        if size > _KEPT:
            return memoryview(bytearray(size))
        if size > len(self._kept):
            self._kept = memoryview(bytearray(size))
        return self._kept[:size]

    def _finish_large(self) -> Frame:
        assert self._large is not None
        kind, stream, meta_size, _, crc = self._header
        meta, payload = bytes(self._large[:meta_size]), bytes(self._large[meta_size:])
        self._large = None
        if crc32(meta) != crc:
            raise _damaged(kind, stream)
        return kind, stream, meta, payload


def _damaged(kind: int, stream: int) -> WireError:
    return WireError(f"the {NAMES[kind]} frame of stream {stream} on the pipe is damaged (checksum)")


class Outbox:
    """A queue of frames, and what of it is to be written next.

    Any thread may put a frame into it at any moment, a signal handler or a finalizer amid another's too: that is one
    step, on the right. Writing is for one thread at a time, and happens on the left.

    Example:
        >>> box = Outbox()
        >>> box.put(b"head", b"payload")
        >>> box.next()
        b'headpayload'
        >>> box.sent(5)
        >>> bytes(box.next())
        b'ayload'
        >>> box.sent(6)
        >>> box.parts
        deque([])

    Attributes:
        parts: what waits, to be looked at alone; empty if nothing does.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: deque[Buffer] = deque()

    def put(self, head: bytes, payload: Buffer = b"") -> None:
        """Add a frame: its packed head, and its payload, which is not copied."""
        if payload:
            self.parts.extend((head, payload))
        else:
            self.parts.append(head)

    def next(self) -> Buffer | list[Buffer]:
        """What to write next: one buffer, or several to be written in one go; of an outbox in which something waits."""
        parts = self.parts
        if len(parts) == 1:
            return parts[0]
        # By their places, for an iterator would not outlive that more is put there meanwhile.
        several = [parts[at] for at in range(min(len(parts), _MOST_PARTS))]
        if sum(map(len, several)) > _JOINED:
            return several
        joined = b"".join(several)
        for _ in several:
            parts.popleft()
        parts.appendleft(joined)
        return joined

    def sent(self, count: int) -> None:
        """So many bytes have been written."""
        parts = self.parts
        while count:
            first = parts[0]
            if count < len(first):
                parts[0] = memoryview(first)[count:]
                return
            count -= len(first)
            parts.popleft()

    def write(
        self,
        send: Callable[[Buffer, int], int],
        send_several: Callable[[list[Buffer], tuple[()], int], int],
        flags: int = 0,
    ) -> bool:
        """Write what a socket takes without waiting; True when nothing is left.

        Args:
            send: the method of that name.
            send_several: its ``sendmsg``.
            flags: for both.

        Raises:
            OSError: the other side is gone (EPIPE, ECONNRESET). What waits is then of no use.
        """
        while self.parts:
            data = self.next()
            try:
                count = send_several(data, (), flags) if isinstance(data, list) else send(data, flags)
            except BlockingIOError:
                return False
            self.sent(count)
        return True

    def clear(self) -> None:
        """Forget what waits: the other side is gone."""
        self.parts.clear()


# -- values


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
    """Whether the other side gets the very objects."""

    def encode(self, value: Any) -> tuple[bytes, Buffer]:
        """A value as the meta part and the payload of a frame.

        Raises:
            TypeError: it can't cross.
            ValueError: it is too large.
        """
        if type(value) is dict:
            for key in _BULK_KEYS:
                content = value.get(key)
                if isinstance(content, (bytes, memoryview)) and len(content) >= _BULK:
                    return dumps({**value, key: ...}), content
        try:
            return marshal.dumps(value, _VERSION), b""
        except ValueError:
            return dumps(value), b""  # the slower way

    def decode(self, meta: bytes, payload: Buffer) -> Any:
        """The value back. Raises :class:`WireError` where the bytes are no value."""
        try:
            value = marshal.loads(meta)
        except (ValueError, EOFError, TypeError) as error:
            raise WireError(f"a value on the pipe can't be decoded: {error}") from error
        if payload:
            _put_back(value, payload)
        return value


def _put_back(value: object, payload: Buffer) -> None:
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
        if isinstance(value, Mapping):
            value = dict(value)
            if type(body := value.get("body")) is memoryview:  # a piece, which need not be copied to be sent as bytes
                value["body"] = body.tobytes()
        self._table[ticket] = value
        return ticket, b""

    def decode(self, meta: bytes, payload: Buffer) -> Any:
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
        >>> from http import HTTPStatus
        >>> dumps(HTTPStatus.OK) == dumps(200)
        True
    """
    try:
        return marshal.dumps(value, _VERSION)
    except ValueError:
        plain = _plain(value, "value", 0)
    try:
        return marshal.dumps(plain, _VERSION)
    except ValueError as error:
        raise ValueError("2 GiB and more can't cross at once, but for the bytes of a body or of a WebSocket") from error


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
