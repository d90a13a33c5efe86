"""Mocks: what the app's process does with those that the test has, the test's own have recorded.

:mod:`isoclient.transit.shared_mocks` knows them in both processes. What is set on one over there is told: its
``call_args`` with each call, so that the test's own records that call, in its parents too, without any of its effects.
What the test sets on one goes to the app before anything else is sent.
"""

from __future__ import annotations

import contextlib
import marshal
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from isoclient.errors import IsolationWarning, ObjectNotLoadable, ObjectNotSendable
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.mirror.watchlist import place_in_test
from isoclient.transit.codecs import PipeCodec
from isoclient.transit.objects import pack_object
from isoclient.transit.references import Names
from isoclient.transit.shared_mocks import Address, mocks
from isoclient.transit.twins import carried

__all__ = ["Mocks"]

_CALL, _AWAIT, _SET, _CONFIGURED, _DELETED, _EXTRA = "call", "await", "set", "configured", "deleted", "extra"
_FAILED: Final = "failed"
_IN_PIECES: Final = {_CALL: "call in pieces", _AWAIT: "await in pieces"}
_WHOLE: Final = {pieces: whole for whole, pieces in _IN_PIECES.items()}
_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))
"""Arguments of these types are themselves, whoever reads them."""
_CONFIGURATION: Final = ("return_value", "side_effect")
_SECONDS: Final = 1.0  # for code of the user's that makes a value


class Mocks(Mirrored):
    """The calls of mocks; and what is set on them, in both ways.

    Attributes:
        changed: the numbers of mocks that the test has changed since the app was told, and the names of what has been
            set on each, with the value where that is not found later.
        functions: the numbers of mocks behind functions that the app has, with what is known of those.
        codec: by which what is no plain value crosses.
        read_journal: a weak reference to what acts on what the app has told by now.
    """

    def __init__(self) -> None:
        self.changed: dict[int, dict[str, Any]] = {}
        self._before = 0
        self._due: list[str] = []
        self.functions: dict[int, tuple[Any, Any]] = {}
        self.codec = PipeCodec()
        self.read_journal: Callable[[], Callable[[], object] | None] = _nothing

    # -- in the test's process

    def first(self, *, fresh: bool) -> None:
        """A fork has all mocks that there are by now, a fresh interpreter none."""
        mocks.look()
        self._fresh = fresh
        self._before = 0 if fresh else mocks.next
        for number in () if fresh else list(mocks.behind):
            self.mock_is_sent(number)
        mocks.tell(self)

    def has_at_start(self, number: int) -> bool:
        """Whether the app has had the mock with this number from its start on."""
        return number < self._before

    def _has(self, number: int) -> bool:
        return number < self._before or number in mocks.sent

    def mock_has_changed(self, mock: Any, name: str, value: Any) -> None:
        """See :class:`isoclient.transit.shared_mocks.Listener`."""
        number = mocks.number_of(mock)
        if name in mocks.names().RECORDED or not (self._has(number) or mocks.is_part(number)):
            return
        if not _is_own_part(mock, value):
            self.changed.setdefault(number, {})[name] = value if name.startswith("__") else None

    def catch_up(self) -> None:
        """See :class:`isoclient.transit.shared_mocks.Listener`."""
        if (read := self.read_journal()) is not None:
            read()

    def mock_is_sent(self, number: int) -> None:
        """See :class:`isoclient.transit.shared_mocks.Listener`."""
        if number in mocks.behind and (now := _set_on_function(number)) is not None:
            self.functions.setdefault(number, now)

    def functions_have_changed(self) -> bool:
        """Whether what functions that mocks are behind return, or do, is another thing: they tell nobody."""
        changed = False
        for number, told in list(self.functions.items()):
            now = _set_on_function(number)
            if now is None:
                del self.functions[number]
                continue
            for name, value, known in zip(_CONFIGURATION, now, told, strict=True):
                if value is not known:
                    changed = True
                    self.functions[number] = now
                    self.changed.setdefault(number, {})[name] = None
        return changed

    def notice(self) -> list[tuple[Any, ...]] | None:
        """What has been set."""
        self.functions_have_changed()
        found: list[tuple[Any, ...]] = []
        while self.changed:
            number, names = self.changed.popitem()
            mock = mocks.get(number)
            address = mocks.address(mock, self._has) if mock is not None else None
            if address is not None:
                mocks.note_sent(number)
                found += [(tuple(address), *change) for change in self._changes(mock, names)]
        return found[::-1] or None

    def _changes(self, mock: Any, names: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        for name, value in names.items():
            if (known := mocks.names().name_of_attribute(name)) != name and known in names:
                continue  # it is the same
            if mocks.names().is_without(mock, name):
                yield mocks.names().link_to(mock, name, None), None
                continue
            try:
                current = mocks.names().configured(mock, name) if value is None else value
                yield mocks.names().link_to(mock, name, current), self._packed(current)
            except LookupError:
                continue
            except ObjectNotSendable as error:
                self._due.append(_not_set(mock, name, error))

    def _packed(self, value: Any) -> bytes:
        return pack_object(
            carried(value),
            self.codec.followed(),
            same_main=not self._fresh,
            by_name=Names({}),
            has_mock=self.has_at_start,
        )

    def tell_what_is_due(self) -> None:
        """Warn of what could not be sent; when the rest of it has been, for it may be raised."""
        due, self._due = self._due, []
        for text in due:
            _warn(text)

    def close(self) -> None:
        """See :meth:`Mirrored.close`."""
        mocks.tell_no_more(self)
        self.changed.clear()
        self.functions.clear()
        self.codec = PipeCodec()

    def replay(self, payload: bytes) -> None:
        """Do to the test's own mock what was done to the app's: as far as it records that, but none of its effects."""
        kind, root, path, name, iterates, packed = marshal.loads(payload)
        if kind == _FAILED:
            _warn(name)
            return
        try:
            mock = mocks.find(Address(root, path))
        except LookupError:
            return  # nobody has it any more
        if kind in _IN_PIECES or kind in _WHOLE:
            _record(mock, kind, iterates, packed, self.codec)
            return
        with mocks.silently():
            if kind == _SET:
                setattr(mock, name, self.codec.unpack_debug(packed).get(name))
            elif kind == _CONFIGURED:
                setattr(mock, name, self.codec.unpack_result(packed, {}, _SECONDS))
            elif kind == _DELETED and hasattr(mock, name):
                delattr(mock, name)
            elif kind == _EXTRA:
                mocks.names().add_attributes(mock, self.codec.unpack_debug(packed))

    # -- in the app's process

    def begin(self, first: None, reporter: Reporter) -> None:
        """From now on, all that is done to mocks of the test is told."""
        mocks.begin_elsewhere()
        self.codec = reporter.codec
        reporter.codec.has_mock = mocks.is_shared
        self._teller = _Teller(reporter)
        mocks.tell(self._teller)

    def apply(self, difference: list[tuple[Any, ...]]) -> None:
        """Set what the test has set."""
        with mocks.silently():
            for address, link, packed in difference:
                with contextlib.suppress(LookupError):  # another app has it
                    self._set(mocks.find(Address(*address)), link, packed)

    def _set(self, mock: Any, link: tuple[str, bool, bool], packed: bytes | None) -> None:
        name = link[0]
        try:
            if packed is not None:
                setattr(mock, name, self.codec.unpack_object(packed, {}))
                mocks.names().link(mock, *link)
            elif hasattr(mock, name):
                delattr(mock, name)
        except ObjectNotLoadable as error:
            self._teller.tell_failure(_not_set(mock, name, error))


def _nothing() -> None:
    return None


def _is_own_part(mock: Any, value: Any) -> bool:
    """Whether this part of a mock has come about by being asked for, as it does in the other process."""
    return mocks.is_part(mocks.number_of(value)) and mocks.names().parent_of(value) is mock


def _not_set(mock: Any, name: str, error: Exception) -> str:
    return (
        f"{name} of {mock!r} stays as it was in the app's process, for what the test has set can't cross: {error}; "
        'or let the test share the memory of its app: @pytest.mark.isolated("together")'
    )


# -- in the test's process


def _set_on_function(number: int) -> tuple[Any, Any] | None:
    mock = mocks.get(number)
    if mock is None:
        return None
    function = mocks.names().function_of(mock)
    return function.return_value, function.side_effect


def _record(mock: Any, kind: str, iterates: bool, packed: bytes, codec: PipeCodec) -> None:
    if kind in _IN_PIECES:
        args, kwargs = marshal.loads(packed)
    else:
        kind, arguments = _WHOLE[kind], codec.unpack_debug(packed)
        args, kwargs = arguments.get("args", ()), arguments.get("kwargs", {})
    names = mocks.names()
    record = names.record_call if kind == _CALL else names.record_await
    record(mock, tuple(args), dict(kwargs))
    if iterates:
        names.advance(mock)


def _warn(text: str) -> None:
    file, line = place_in_test() or ("the test", 0)
    warnings.warn_explicit(IsolationWarning(text), None, file, line, registry={})


# -- in the app's process


class _Teller:
    """Tells of what is set on mocks that the test has."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._codec = reporter.codec
        self._called: dict[int, Any] = {}  # those that have further attributes
        self._told: dict[int, bytes] = {}

    def mock_has_changed(self, mock: Any, name: str, value: Any) -> None:
        """See :class:`isoclient.transit.shared_mocks.Listener`."""
        names = mocks.names()
        if name in names.RECORDED and value is None:
            return  # it is reset
        address = mocks.address(mock, mocks.is_shared)
        if address is None:
            return
        with mocks.silently():  # for it is we who touch mocks now
            if name not in names.RECORDED:
                self._tell_set(mock, address, name, value)
            elif name == names.CALLED:
                self._tell_call(address, _CALL, value, not names.is_awaited(mock) and names.iterates(mock))
                if names.has_attributes_of_others(mock):
                    self._called[mocks.number_of(mock)] = mock
                    if self._tell_attributes not in self._reporter.at_call_end:
                        self._reporter.at_call_end.append(self._tell_attributes)
            else:
                self._tell_call(address, _AWAIT, value, names.iterates(mock))

    def catch_up(self) -> None:
        """Nothing can be told to this process."""

    def mock_is_sent(self, number: int) -> None:
        """Nothing is to be told of it."""

    def _tell_call(self, address: Address, kind: str, call: Any, iterates: bool) -> None:
        args, kwargs = call
        if _PLAIN.issuperset(map(type, args)) and _PLAIN.issuperset(map(type, kwargs.values())):
            packed = marshal.dumps((args, kwargs))
        else:
            kind, packed = _IN_PIECES[kind], self._codec.pack_debug({"args": args, "kwargs": kwargs})
        self._tell(address, kind, "", packed, iterates)

    def _tell_set(self, mock: Any, address: Address, name: str, value: Any) -> None:
        if mocks.names().name_of_attribute(name) != name or name.startswith("__") or _is_own_part(mock, value):
            return
        if mocks.names().is_without(mock, name):
            self._tell(address, _DELETED, name, b"")
        elif name not in _CONFIGURATION:
            self._tell(address, _SET, name, self._codec.pack_debug({name: value}))
        else:
            with contextlib.suppress(ObjectNotSendable):  # the test's own keeps what it has
                self._tell(address, _CONFIGURED, name, self._codec.pack_result(value, {}))

    def tell_failure(self, text: str) -> None:
        """The test is to be warned."""
        self._tell(Address(0), _FAILED, text, b"")

    def _tell_attributes(self) -> None:
        while self._called:
            number, mock = self._called.popitem()
            packed = self._codec.pack_debug(mocks.names().extra_attributes(mock))
            address = mocks.address(mock, mocks.is_shared)
            if packed != self._told.get(number) and address is not None:
                self._told[number] = packed
                self._tell(address, _EXTRA, "", packed)

    def _tell(self, address: Address, kind: str, name: str, packed: bytes, iterates: bool = False) -> None:
        self._reporter.tell(marshal.dumps((kind, address.root, address.path, name, iterates, packed)))
