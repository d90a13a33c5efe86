"""A checksum around what is pickled.

A damaged pickle can do anything at all when it is loaded, so that damage has to be found before.
"""

from __future__ import annotations

import zlib

__all__ = ["seal", "unseal"]

_CRC_BYTES = 4


def seal(payload: bytes) -> bytes:
    """``payload`` with its checksum in front of it.

    Example:
        >>> unseal(seal(b"payload"))
        b'payload'
    """
    return zlib.crc32(payload).to_bytes(_CRC_BYTES, "big") + payload


def unseal(data: bytes) -> bytes:
    """What :func:`seal` was given.

    Raises:
        ValueError: the data is not what :func:`seal` made, or was cut or changed since.
    """
    data = bytes(data)
    payload = data[_CRC_BYTES:]
    if len(data) < _CRC_BYTES or zlib.crc32(payload) != int.from_bytes(data[:_CRC_BYTES], "big"):
        raise ValueError(f"the {len(data):,} bytes received are damaged")
    return payload
