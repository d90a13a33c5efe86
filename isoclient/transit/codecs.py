"""What crosses beside plain values, exceptions and objects, in each of the two ways that the two sides can live.

:class:`PipeCodec` is for two processes: such things are packed, as values that its other half, the codec of the wire,
has bytes for. :class:`LocalCodec` is for two threads of one, where all passes by reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

from isoclient.system.modules import os
from isoclient.transit.places import Place
from isoclient.transit.shared_mocks import HasMock, has_none
from isoclient.wire.frames import ReferenceCodec, ValueCodec

__all__ = ["Codec", "LocalCodec", "PipeCodec", "Twins"]

_SERVER: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "server") + os.sep


class Twins(Protocol):
    """The objects of a process of which the other one has one each, since it was forked.

    Attributes:
        has_exceptions: whether there are exceptions among those that have names.
    """

    has_exceptions: bool

    def names(self) -> Mapping[str, object]:
        """They, by the names that both processes know."""

    def name_of(self, thing: object) -> str | None:
        """The name of this one; None if it is none of them."""

    def followed(self) -> Mapping[str, object]:
        """Those of them that are in the other process what they are here, with all that they lead to."""

    def reference_to(self, thing: object) -> int | str | None:
        """By which the other process finds its own of this one, if that is what this is here; None for all else."""

    def thing(self, reference: int | str) -> Any:
        """This process's own; None if it is gone."""

    def knows_address(self, address: int) -> bool:
        """In the app's process: whether such an object has this address."""

    def knows(self, thing: object) -> bool:
        """In the test's process: whether this is such an object."""


class PipeCodec(ValueCodec):
    """Between processes.

    Args:
        same_main: whether both have the same main module, because one is a fork of the other.
        has_mock: tells of a number whether the other side has the mock that is known by it.

    Attributes:
        same_main: likewise.
        with_locals: whether the frames of exceptions carry the text of their local variables.
        twins: the objects that there are in both processes, if any.

    Example:
        >>> codec = PipeCodec()
        >>> codec.unpack_exception(codec.pack_exception(LookupError("no such book")))
        LookupError('no such book')
    """

    def __init__(self, *, same_main: bool = True, has_mock: HasMock = has_none) -> None:
        self.same_main = same_main
        self.with_locals = False
        self.has_mock = has_mock
        self.twins: Twins | None = None

    def pack_exception(self, error: BaseException, *, alone: bool = False) -> Any:
        """An exception as a value. Never raises.

        It is alone where it is read by :func:`isoclient.transit.unpack_exception`: what both sides have is copied then.
        """
        if self.twins is None or alone:
            return _transit().pack_exception(error, with_locals=self.with_locals)
        names = {"name_of": self.twins.name_of} if self.twins.has_exceptions else {}
        return _transit().pack_exception(
            error, with_locals=self.with_locals, reference_to=self.twins.reference_to, **names
        )

    def unpack_exception(self, packed: Any) -> BaseException:
        """The exception, or a stand-in where it could not cross. Never raises.

        What of it is a twin is that, as if it had been raised here.
        """
        known = None if self.twins is None else self.twins.thing
        error: BaseException = _transit().unpack_exception(packed, named=self._named, known=known)
        return error

    def _named(self, name: str) -> object:
        return self.known({}).get(name)

    def pack_object(self, thing: object, live: Mapping[str, object], references: dict[int, Place] | None = None) -> Any:
        """Any object as a value; ``live`` are those that both sides have, by name.

        ``references`` are those that the other side has elsewhere, by their ids; if it is not None, parts that can't
        be copied may be sent likewise.
        """
        transit = _transit()
        by_name = None if references is None else transit.Names(references)
        return transit.pack_object(
            thing, self.known(live), same_main=self.same_main, by_name=by_name, has_mock=self.has_mock
        )

    def unpack_object(self, packed: Any, live: Mapping[str, object]) -> Any:
        """The object."""
        return _transit().unpack_object(packed, self.known(live))

    def pack_result(self, thing: object, live: Mapping[str, object], *, with_locks: bool = False) -> Any:
        """The same for what comes from the app, and is to run no code in the test's process but what makes objects."""
        return _transit().pack_result(thing, self.known(live), with_locks=with_locks)

    def pack_trusted_result(self, thing: object, live: Mapping[str, object]) -> Any:
        """The same for a test that lets it run any code there."""
        transit, live = _transit(), self.known(live)
        return transit.pack_object(
            thing, live, same_main=self.same_main, has_mock=self.has_mock, advice=transit.OF_RESULT
        )

    def unpack_result(self, packed: Any, live: Mapping[str, object], seconds: float | None) -> Any:
        """The object; ``seconds`` are for code of the user's that makes it."""
        return _transit().unpack_result(packed, self.known(live), seconds)

    def known(self, live: Mapping[str, object]) -> Mapping[str, object]:
        """These objects, and what else both sides have, by name."""
        return live if self.twins is None else {**self.twins.names(), **live}

    def followed(self) -> Mapping[str, object]:
        """What both sides have, and is on the other one what it is on this one, by name."""
        return {} if self.twins is None else self.twins.followed()

    def pack_debug(self, info: Mapping[str, Any]) -> Any:
        """What the app shows of itself, as a value. Never raises."""
        return _transit().pack_debug(info, None if self.twins is None else self.twins.reference_to)

    def unpack_debug(self, packed: Any) -> dict[str, Any]:
        """The same, with stand-ins for what could not cross."""
        return _transit().unpack_debug(packed, None if self.twins is None else self.twins.thing)  # type: ignore[no-any-return]


def _transit() -> Any:
    """Imported when the first exception or object crosses: a run in which none does need not pay for it."""
    from isoclient import transit

    return transit


class LocalCodec(ReferenceCodec):
    """Between threads: all is the very object, without what is ours of the traceback of an exception."""

    def pack_exception(self, error: BaseException) -> Any:
        return error

    def unpack_exception(self, packed: Any) -> BaseException:
        error: BaseException = packed
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_SERVER):
            traceback = traceback.tb_next
        _end_in_the_app(traceback)
        return error.with_traceback(traceback)

    def known(self, live: Mapping[str, object]) -> Mapping[str, object]:
        return live

    def pack_object(self, thing: object, live: Mapping[str, object], references: dict[int, Place] | None = None) -> Any:
        return thing

    def unpack_object(self, packed: Any, live: Mapping[str, object]) -> Any:
        return packed

    def pack_result(self, thing: object, live: Mapping[str, object]) -> Any:
        return thing

    def pack_trusted_result(self, thing: object, live: Mapping[str, object]) -> Any:
        return thing

    def unpack_result(self, packed: Any, live: Mapping[str, object], seconds: float | None) -> Any:
        return packed

    def pack_debug(self, info: Mapping[str, Any]) -> Any:
        return info

    def unpack_debug(self, packed: Any) -> dict[str, Any]:
        assert isinstance(packed, dict)
        return packed


def _end_in_the_app(traceback: TracebackType | None) -> None:
    """Cut off what the app has called of ours."""
    from isoclient.transit.tracebacks import is_called_by_app

    last = None
    while traceback is not None:
        if not is_called_by_app(traceback):
            last = traceback
        traceback = traceback.tb_next
    if last is not None:
        last.tb_next = None


Codec: TypeAlias = PipeCodec | LocalCodec
"""How values get into frames, and what else can be made a value."""
