"""From values to the two parts of a frame and back; one codec for each way that the two sides can live.

:class:`PipeCodec` is for two processes. :class:`LocalCodec` is for two threads of one: values and exceptions pass by
reference, through a table, and the frame carries only a ticket. So both modes of the client share everything else:
frames, order, flow control, deadlines.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Final, Protocol

from isoclient.link.places import Place
from isoclient.link.system import os
from isoclient.wire import values
from isoclient.wire.protocol import LinkError

__all__ = ["Codec", "LocalCodec", "PipeCodec"]

_BULK: Final = 2048  # from here on, in bytes, content travels beside the encoded message instead of inside it
_HOST: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "host") + os.sep
_BULK_KEYS: Final = ("body", "bytes")


class Codec(Protocol):
    """How values get into frames."""

    @property
    def by_reference(self) -> bool:
        """Whether the other side gets the very objects."""

    def encode(self, value: object) -> tuple[bytes, bytes]:
        """A value as the meta part and the payload of a frame."""

    def decode(self, meta: bytes, payload: bytes) -> Any:
        """The value back. Raises :class:`LinkError` where the bytes are no value."""

    def pack_exception(self, error: BaseException) -> Any:
        """An exception as a value. Never raises."""

    def unpack_exception(self, packed: Any) -> BaseException:
        """The exception, or a stand-in where it could not cross. Never raises."""

    def pack_object(self, thing: object, live: Mapping[str, object], references: dict[int, Place] | None = None) -> Any:
        """Any object as a value; ``live`` are those that both sides have, by name.

        ``references`` are those that the other side has elsewhere, by their ids; if it is not None, parts that can't
        be copied may be sent likewise.
        """

    def unpack_object(self, packed: Any, live: Mapping[str, object]) -> Any:
        """The object."""

    def pack_result(self, thing: object, live: Mapping[str, object]) -> Any:
        """The same for what comes from the app, and is to run no code in the test's process but what makes objects."""

    def unpack_result(self, packed: Any, live: Mapping[str, object], seconds: float | None) -> Any:
        """The object; ``seconds`` are for code of the user's that makes it."""

    def pack_debug(self, info: Mapping[str, Any]) -> Any:
        """What the app shows of itself, as a value. Never raises."""

    def unpack_debug(self, packed: Any) -> dict[str, Any]:
        """The same, with stand-ins for what could not cross."""


class PipeCodec:
    """Between processes: :mod:`isoclient.wire.values`, with bulk content left as it is.

    Args:
        same_main: whether both have the same main module, because one is a fork of the other.

    Example:
        >>> codec = PipeCodec()
        >>> meta, payload = codec.encode({"type": "http.response.body", "body": b"x" * 5000})
        >>> len(meta) < 100, len(payload)
        (True, 5000)
        >>> len(codec.decode(meta, payload)["body"])
        5000
    """

    by_reference = False

    def __init__(self, *, same_main: bool = True) -> None:
        self._same_main = same_main

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

    def pack_exception(self, error: BaseException) -> Any:
        return _transit().pack_exception(error)

    def unpack_exception(self, packed: Any) -> BaseException:
        return _transit().unpack_exception(packed)  # type: ignore[no-any-return]

    def pack_object(self, thing: object, live: Mapping[str, object], references: dict[int, Place] | None = None) -> Any:
        transit = _transit()
        by_name = None if references is None else transit.Names(references)
        return transit.pack_object(thing, live, same_main=self._same_main, by_name=by_name)

    def unpack_object(self, packed: Any, live: Mapping[str, object]) -> Any:
        return _transit().unpack_object(packed, live)

    def pack_result(self, thing: object, live: Mapping[str, object]) -> Any:
        return _transit().pack_result(thing, live)

    def unpack_result(self, packed: Any, live: Mapping[str, object], seconds: float | None) -> Any:
        return _transit().unpack_result(packed, live, seconds)

    def pack_debug(self, info: Mapping[str, Any]) -> Any:
        return _transit().pack_debug(info)

    def unpack_debug(self, packed: Any) -> dict[str, Any]:
        return _transit().unpack_debug(packed)  # type: ignore[no-any-return]


def _transit() -> Any:
    """Imported when the first exception or object crosses: a run in which none does need not pay for it."""
    from isoclient.link import transit

    return transit


def _put_back(value: object, payload: bytes) -> None:
    """An ellipsis, which no ASGI message holds, marks where the payload belongs."""
    if isinstance(value, dict):
        for key in _BULK_KEYS:
            if value.get(key) is ...:
                value[key] = payload
                return
    raise LinkError("a frame on the pipe has a payload that its message does not call for")


class LocalCodec:
    """Between threads: a table of values, shared by both sides; the frames carry its keys.

    Example:
        >>> codec = LocalCodec()
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

    def pack_exception(self, error: BaseException) -> Any:
        return error

    def unpack_exception(self, packed: Any) -> BaseException:
        error: BaseException = packed
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_HOST):
            traceback = traceback.tb_next
        return error.with_traceback(traceback)

    def pack_object(self, thing: object, live: Mapping[str, object], references: dict[int, Place] | None = None) -> Any:
        return thing

    def unpack_object(self, packed: Any, live: Mapping[str, object]) -> Any:
        return packed

    def pack_result(self, thing: object, live: Mapping[str, object]) -> Any:
        return thing

    def unpack_result(self, packed: Any, live: Mapping[str, object], seconds: float | None) -> Any:
        return packed

    def pack_debug(self, info: Mapping[str, Any]) -> Any:
        return info

    def unpack_debug(self, packed: Any) -> dict[str, Any]:
        assert isinstance(packed, dict)
        return packed
