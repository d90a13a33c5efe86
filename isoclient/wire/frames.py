"""Frames: the unit of what crosses the pipe; how they are read, and how they wait to be written.

A frame is a header of 24 bytes, a *meta* part (a small encoded value) and a *payload* (bulk bytes, as they are)::

    magic u16 | kind u8 | len(payload) >> 32 u8 | stream u32 | len(meta) u32 | len(payload) u32, the rest of it
    | crc(meta) u32 | crc(header so far) u32

The two checksums are not there against the kernel, which loses nothing. They are there against the app: one that closes
all its descriptors and opens files of its own, or that forks in a handler, can put bytes on our pipe. Such bytes must
end in one clear error, and must never reach :mod:`marshal`, which trusts what it reads.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, TypeAlias
from zlib import crc32

from isoclient.wire.protocol import NAMES, WireError

__all__ = ["SMALL", "Buffer", "Frame", "FrameReader", "Outbox", "describe", "pack"]

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


def pack(kind: int, stream: int, meta: bytes = b"", payload: bytes = b"") -> bytes:
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

    def at_boundary(self) -> bool:
        """Whether all that has come so far made whole frames: False at the end of file means that one was cut off."""
        return self._large is None and self._end == 0

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

    def put(self, head: bytes, payload: bytes = b"") -> None:
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

    def clear(self) -> None:
        """Forget what waits: the other side is gone."""
        self.parts.clear()
