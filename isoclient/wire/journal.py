"""The journal: what the app's process tells of itself beside the streams, as entries in a file.

Log records, warnings and lines measured by coverage have no stream, and no reader that waits for them. They may come
from any thread, at import, or right before a crash. So they do not cross the pipe, where a write could block and would
need the event loop, but are appended to a file of the test's process. An entry is a header of 36 bytes and a payload::

    magic u32 | kind u8 | 0 | stdout u64 | stderr u64 | len(payload) u32 | crc(payload) u32 | crc(header so far) u32

The kind says whose payload it is; see :mod:`isoclient.mirror.mirrors`. ``stdout`` and ``stderr`` say how much the app
had printed by then: what it prints goes into two other files, and so the order of the three is known.

The checksums keep away what else may get into the file, from an app that writes to descriptors which are not its own:
such bytes are skipped up to the next entry.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["Entry", "JournalReader", "pack"]

_MAGIC: Final = b"\xf5jn\xfa"  # the outer two bytes are in no text in UTF-8
_HEADER: Final = struct.Struct("<4sBxxxQQIII")
_head = struct.Struct("<4sBxxxQQII").pack
_CHECKED: Final = _HEADER.size - 4


class Entry(NamedTuple):
    """One entry, whole; its payload still encoded."""

    kind: int
    payload: bytes
    printed: tuple[int, int] = (0, 0)


def pack(kind: int, payload: bytes, printed: tuple[int, int] = (0, 0)) -> bytes:
    """An entry as bytes, to be written in one piece.

    Example:
        >>> JournalReader().feed(pack(1, b"record"))
        [Entry(kind=1, payload=b'record', printed=(0, 0))]
    """
    head = _head(_MAGIC, kind, *printed, len(payload), crc32(payload))
    return head + crc32(head).to_bytes(4, "little") + payload


class JournalReader:
    """Finds the entries in a file that is read in pieces of any size.

    Example:
        >>> reader = JournalReader()
        >>> data = b"rubbish" + pack(1, b"record")
        >>> reader.feed(data[:20]), reader.feed(data[20:])
        ([], [Entry(kind=1, payload=b'record', printed=(0, 0))])
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0  # how long it has to be, before it is worth while to look into it

    def feed(self, data: bytes) -> list[Entry]:
        """The entries that these bytes complete."""
        self._rest += data
        return self._found(is_all=False) if len(self._rest) >= self._wanted else []

    def finish(self) -> list[Entry]:
        """What there is behind an entry that has been cut off, for nothing more will come."""
        return self._found(is_all=True)

    def _found(self, *, is_all: bool) -> list[Entry]:
        data = self._rest
        entries: list[Entry] = []
        self._wanted = 0
        at = data.find(_MAGIC)
        while at >= 0 and at + _HEADER.size <= len(data):
            _, kind, stdout, stderr, size, crc, head_crc = _HEADER.unpack_from(data, at)
            start, stop = at + _HEADER.size, at + _HEADER.size + size
            if crc32(data[at : at + _CHECKED]) != head_crc:
                at = data.find(_MAGIC, at + 1)
            elif stop > len(data):
                if not is_all:
                    self._wanted = stop - at
                    break
                at = data.find(_MAGIC, at + 1)
            elif crc32(payload := bytes(memoryview(data)[start:stop])) != crc:
                at = data.find(_MAGIC, at + 1)
            else:
                entries.append(Entry(kind, payload, (stdout, stderr)))
                at = data.find(_MAGIC, stop)
        # Without a beginning of an entry, the last bytes may still be the first ones of one.
        del data[: at if at >= 0 else max(0, len(data) + 1 - len(_MAGIC))]
        if is_all:
            data.clear()
        return entries
