"""What crosses beside plain values, exceptions and objects, in each of the two ways that the two sides can live.

:class:`PipeCodec` is for two processes: such things are packed, as values that its other half, the codec of the wire,
has bytes for. :class:`LocalCodec` is for two threads of one, where all passes by reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from isoclient.system.modules import os
from isoclient.transit.places import Place
from isoclient.wire import codec as wire

__all__ = ["Codec", "LocalCodec", "PipeCodec"]

_SERVER: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "server") + os.sep


class Codec(wire.Codec, Protocol):
    """How values get into frames, and what else can be made a value."""

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


class PipeCodec(wire.ValueCodec):
    """Between processes.

    Args:
        same_main: whether both have the same main module, because one is a fork of the other.

    Attributes:
        with_locals: whether the frames of exceptions carry the text of their local variables.

    Example:
        >>> codec = PipeCodec()
        >>> codec.unpack_exception(codec.pack_exception(LookupError("no such book")))
        LookupError('no such book')
    """

    def __init__(self, *, same_main: bool = True) -> None:
        self._same_main = same_main
        self.with_locals = False

    def pack_exception(self, error: BaseException) -> Any:
        return _transit().pack_exception(error, with_locals=self.with_locals)

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
    from isoclient import transit

    return transit


class LocalCodec(wire.ReferenceCodec):
    """Between threads: all is the very object, without what is ours of the traceback of an exception."""

    def pack_exception(self, error: BaseException) -> Any:
        return error

    def unpack_exception(self, packed: Any) -> BaseException:
        error: BaseException = packed
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_SERVER):
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
