"""The values that the test has made for itself: what the app does with them the test sees, and the other way round.

They are known by name in both processes: those from before the fork, and such containers as have come into them since.
Each side looks for changes before it says anything, and tells of them first; so whoever is to act upon what is said has
them already. The app's process is a fork: a fresh interpreter has nothing of the test's.
"""

from __future__ import annotations

import contextlib
import marshal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from isoclient.errors import IsolationWarning, ObjectNotLoadable, ObjectNotSendable
from isoclient.mirror.alike_values import alike_as_a_whole, ids_of
from isoclient.mirror.found_values import Found, attributes_of, clean, find, parts_of
from isoclient.mirror.frozen_values import Frozen, adoptable, is_plain
from isoclient.mirror.known_things import KnownThings
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.mirror.object_graphs import FOREIGN, Graph, find_graphs, is_seen
from isoclient.mirror.run import run
from isoclient.mirror.shared_graphs import SharedGraph
from isoclient.mirror.shared_primitives import renew, state_of_primitive, watch_primitive
from isoclient.mirror.watched_values import Change, Watched, WatchedValues, watch
from isoclient.mirror.watchlist import place_in_test
from isoclient.system.locks import make_lock
from isoclient.transit.codecs import PipeCodec

__all__ = ["SharedLocals"]

_MOST: Final = 1000  # values, with those that have come into them
_SECONDS: Final = 1.0  # for code of the test's own that makes its objects
_PLAIN, _WHOLE, _PIECES, _GRAPH = "plain", "whole", "pieces", "graph"


def _warn_of(kind: str) -> None:
    file, line = place_in_test() or ("the test", 0)
    text = (
        f"the test's {kind} has no more of what the app does with it: something has come into it over there that can't "
        'cross. Let test and app share memory: @pytest.mark.isolated("together")'
    )
    warnings.warn_explicit(IsolationWarning(text), None, file, line, registry={})


class _First(NamedTuple):
    """What there is at the fork.

    Attributes:
        found: the values that are kept alike each by itself.
        graphs: those that are kept alike as a whole.
        states: those of the primitives.
    """

    found: Found
    graphs: list[Graph]
    states: list[Any]


class _Told(NamedTuple):
    """A change on its way.

    Attributes:
        name: of the value that it is a change of.
        how: whether all in it is plain; or crosses as it is; or only in pieces, with stand-ins; or is of a graph, whose
            name it has.
        what: it, packed.
        in_pieces: what to take where that can't be loaded.
        exceptions: those in it, as they cross when they are raised.
        first: the number of the first value that has come in with it.
        more: how many these are.
    """

    name: str
    how: str
    what: Any
    in_pieces: Any
    exceptions: list[Any]
    first: int
    more: int


class SharedLocals(Mirrored):
    """Those of the test that has started the app, as long as both go on.

    Attributes:
        watched: those in which something can change, if any.
        codec: how what is no plain value crosses; None to share nothing.
        has_exceptions: see :class:`isoclient.transit.codecs.Twins`.
    """

    has_exceptions = False

    def __init__(self) -> None:
        self.codec: PipeCodec | None = None
        self.watched: WatchedValues | None = None
        self._app: object = None
        self._shared: _Shared | None = None
        self._epoch: int | None = None  # in the test's process: that of the test

    def end(self) -> None:
        """The app is over: nothing of the test's is to wait for the garbage collector for that."""
        self._forget()
        self._app = self.codec = None

    def _forget(self) -> None:
        shared, self._shared, self.watched = self._shared, None, None
        if shared is not None:
            shared.watched.end()

    def _share(self, first: _First, side: str, other: str, codec: PipeCodec) -> _Shared:
        self._shared = shared = _Shared(first, side, other, codec)
        self.watched = shared.watched if shared.watched or shared.watched.wholes else None
        self.has_exceptions = any(issubclass(type(value), BaseException) for value in shared.names.values())
        return shared

    # -- in both, for whatever else crosses

    def names(self) -> Mapping[str, object]:
        """See :class:`isoclient.transit.codecs.Twins`."""
        is_over = self._epoch is not None and self._epoch != run.epoch
        return {} if self._shared is None or is_over else self._shared.names

    def name_of(self, thing: object) -> str | None:
        """See there."""
        return next((name for name, known in self.names().items() if known is thing), None)

    def followed(self) -> Mapping[str, object]:
        """See there."""
        names = self.names()
        return {} if self._shared is None or not names else self._shared.followed()

    def reference_to(self, thing: object) -> int | str | None:
        """See there: the name of what is kept alike, and the number of what is there as it was at the fork."""
        shared = self._shared
        if shared is None or not self.names():
            return None
        name = shared.name_of_followed(thing)
        return shared.things.number_of(thing) if name is None else name

    def knows_address(self, address: int) -> bool:
        """In the app's process: whether an object is there that the test has known for itself at the fork."""
        return self._shared is not None and self._shared.things.has_address(address)

    def knows(self, thing: object) -> bool:
        """In the test's process: whether this is such an object, which the app has, too."""
        return self._shared is not None and self._epoch == run.epoch and self._shared.things.has(thing)

    def thing(self, reference: int | str) -> Any:
        """See there."""
        if isinstance(reference, str):
            return self.names().get(reference)
        is_over = self._epoch != run.epoch
        return None if self._shared is None or is_over else self._shared.things.get(reference)

    # -- in the test's process

    def of_app(self, app: Any) -> None:
        """It has its own of everything, though the test may have made it."""
        self._app = app

    def first(self, *, fresh: bool) -> _First | None:
        """What the test has by now. The fork has it, too."""
        self._forget()
        if fresh or self.codec is None:
            return None
        found = find(run.fixtures, run.given, self._app)
        known = {id(value) for value in (*found.values, *found.others, *found.primitives)}
        graphs = find_graphs(found.made, known, found.of_others)
        found.made.clear()
        if not any((found.values, found.others, found.primitives, found.stained, found.things, graphs)):
            return None
        if self._app is not None and not isinstance(self._app, str):
            found.others.append(self._app)  # what has come to refer to it, refers to the test's own here
        first = _First(found, graphs, [state_of_primitive(each) for each in found.primitives])
        self._epoch = run.epoch
        self._share(first, "t", "a", self.codec)
        return first

    @property
    def is_live(self) -> bool:
        """See :class:`Mirrored <isoclient.mirror.mirrored.Mirrored>`."""
        return self._shared is not None and self._shared.has_primitives

    def has(self, thing: object) -> bool:
        """Whether all that the test changes in this comes to the app."""
        return self._shared is not None and self._epoch == run.epoch and self._shared.is_visible(thing)

    def notice(self) -> list[tuple[Any, ...]] | None:
        """What the test has done with them. In another test they are over."""
        if self._shared is None:
            return None
        if self._epoch != run.epoch:
            self._forget()
            return []
        return self._shared.changes(_pack_here) or None

    def replay(self, payload: bytes) -> None:
        """Do what the app has done."""
        if self._shared is not None:
            self._shared.put(marshal.loads(payload), _unpack_here)
            left_behind, self._shared.left_behind = self._shared.left_behind, []
            for kind in left_behind:
                _warn_of(kind)

    # -- in the app's process

    def begin(self, first: _First | None, reporter: Reporter) -> None:
        """Tell of changes before anything else is told."""
        if first is None:
            return
        for value in first.found.stained:
            clean(value)
        for primitive, state in zip(first.found.primitives, first.states, strict=True):
            renew(primitive, state)
        shared = self._share(first, "a", "t", reporter.codec)
        shared.things.begin()
        reporter.codec.twins = self

        def tell() -> None:
            """Never raises: an answer is about to go out."""
            try:
                if told := shared.changes(_pack_there):
                    reporter.tell(marshal.dumps(told))
            except Exception as error:  # of a class whose objects are compared while a thread of the app changes them
                print(
                    f"isoclient: what the app has done with values of the test's is not told: {error!r}",
                    file=sys.stderr,
                )

        if self.watched is not None:
            reporter.before_telling.append(partial(self.watched.tell_changes, tell))

    def apply(self, difference: list[tuple[Any, ...]]) -> None:
        """Do what the test has done; nothing means that it is over."""
        if not difference:
            self._forget()
        elif self._shared is not None:
            self._shared.put(difference, _unpack_there)


class _Shared:
    """The values as one of the two processes has them.

    Args:
        first: those from before the fork.
        side: what the names of those that come into them here begin with.
        other: the same for the other side.
        codec: how what is no plain value crosses.

    Attributes:
        watched: the values in which something can change.
        names: the values, and what else is known over there, by the names that both sides know.
        ids: theirs.
        codec: likewise.
        things: what is known for itself alone.
        has_primitives: whether the test and the app may wait for each other while a call is under way.
        left_behind: the classes of objects that had the changes of the other side, and have no more of them.
    """

    def __init__(self, first: _First, side: str, other: str, codec: PipeCodec) -> None:
        found, graphs, _ = first
        watched = {f"v{number}": watch(value) for number, value in enumerate(found.values)}
        watched |= {f"p{number}": watch_primitive(each) for number, each in enumerate(found.primitives)}
        self.has_primitives = bool(found.primitives)
        self.codec = codec
        self.names: dict[str, object] = {name: each.value for name, each in watched.items()}
        self.names |= {f"o{number}": thing for number, thing in enumerate(found.others)}
        self.ids = {id(value) for value in self.names.values()}
        self._graphs = {
            f"g{number}": SharedGraph(f"g{number}", graph, self.names, self.ids, side, other)
            for number, graph in enumerate(graphs)
        }
        self.watched = WatchedValues(watched, self._graphs.values())
        self.things = KnownThings(found.things)
        self._visible = {f"v{number}" for number in found.in_functions}
        self._visible |= {f"p{number}" for number in range(len(found.primitives))}
        self._attributes = {f"v{number}" for number in found.attributes}
        self._withheld: set[str] = set()  # those of which the other side has not all
        self._side, self._other, self._number = side, other, 0
        self.left_behind: list[str] = []
        self._lock = make_lock()  # several threads may have something to tell, or to hear

    def is_visible(self, thing: object) -> bool:
        """Whether the app has to do with this object, or container, as far as it is known."""
        attributes = attributes_of(thing)
        values = [self.names[name] for name in self._visible]
        return any(value is thing or (attributes is not None and value is attributes) for value in values)

    def followed(self) -> dict[str, object]:
        """What the other side has as it is here, with all that it leads to, by name."""
        followed = {id(value) for value in self._followed()}
        return alike_as_a_whole(
            {name: thing for name, thing in list(self.names.items()) if not followed.isdisjoint(ids_of(thing))}
        )

    def name_of_followed(self, thing: object) -> str | None:
        """The name of this one, if the other side has it as it is here, whatever it leads to."""
        if id(thing) not in self.ids:
            return None
        ids = ids_of(thing)
        if all(id(value) not in ids for value in self._followed()):
            return None
        return next((name for name, known in list(self.names.items()) if known is thing), None)

    def _followed(self) -> Iterator[object]:
        """Those of which nothing has been withheld from the other side."""
        for name, watched in list(self.watched.items()):
            if name not in self._withheld:
                yield watched.value
        for graph in self._graphs.values():
            for watched in list(graph.watched()):
                yield watched.value

    # -- telling

    def changes(self, pack: _Pack) -> list[tuple[Any, ...]]:
        """What has changed here; it is known over there then, or will not be told."""
        told: list[tuple[Any, ...]] = []
        with self._lock:
            for name, watched in list(self.watched.items()):
                if watched.has_changed():
                    told += [tuple(each) for each in self._told(name, watched, pack)]
            for name, graph in self._graphs.items():
                if graph.has_changed():
                    packed, exceptions = graph.changes(self.codec)
                    told.append(tuple(_Told(name, _GRAPH, packed, None, exceptions, 0, 0)))
        return told

    def _told(self, name: str, watched: Watched, pack: _Pack) -> Iterator[_Told]:
        change = watched.take()
        is_single = watched.is_single or name in self._attributes
        try:
            told = self._packed(name, change, pack, is_single)
            if told is not None:
                yield told
            elif watched.is_of_items:  # one of them can't cross; the others do
                for each in watched.one_by_one(change):
                    if (told := self._packed(name, each, pack, is_single)) is not None:
                        yield told
        except Exception as error:  # of code of the user's that is asked for parts of what is sent
            print(
                f"isoclient: what has come into a {type(watched.value).__name__} of the test's can't be sent, so the "
                f"test and its app differ in it: {error!r}",
                file=sys.stderr,
            )

    def _packed(self, name: str, change: Change, pack: _Pack, is_single: bool) -> _Told | None:
        frozen = Frozen(self.ids, _MOST - len(self.watched))
        copy = (*change[:-1], [frozen.freeze(item) for item in change[-1]])
        packed = pack(copy, self, name in self._visible, is_single)
        if packed is None or packed[0] == _PIECES:
            self._withheld.add(name)
        if packed is None:
            return None
        first = self._number
        if packed[0] != _PIECES:
            self._number += len(frozen.watched)
            for number, watched in enumerate(frozen.watched):
                self._adopt(f"{self._side}{first + number}", watched)
        return _Told(name, *packed, first, self._number - first)

    def _adopt(self, name: str, watched: Watched) -> None:
        """Watch what has come in from now on."""
        self.watched[name], self.names[name] = watched, watched.value
        self.ids.add(id(watched.value))
        self._visible.add(name)

    # -- hearing

    def put(self, changes: list[tuple[Any, ...]], unpack: _Unpack) -> None:
        """What has changed over there."""
        with self._lock:
            for told in map(_Told._make, changes):
                if told.how == _GRAPH:
                    self._put_graph(self._graphs[told.name], told)
                elif watched := self.watched.get(told.name):
                    try:
                        self._put(watched, told, unpack)
                    except Exception as error:  # of code of the user's, which makes an object
                        print(
                            f"isoclient: what has come into a {type(watched.value).__name__} of the test's can't be "
                            f"loaded, so the test and its app differ in it: {error!r}",
                            file=sys.stderr,
                        )

    def _put_graph(self, graph: SharedGraph, told: _Told) -> None:
        was_over = graph.is_over
        graph.put(told.what, told.exceptions, self.codec)
        if graph.is_over and graph.has_heard and not was_over:
            self.left_behind.append(graph.kind)

    def _put(self, watched: Watched, told: _Told, unpack: _Unpack) -> None:
        change, is_whole = unpack(told, self, watched.is_single or told.name in self._attributes)
        if change is None:
            return
        watched.put(change)
        if is_whole:
            for number, value in enumerate(adoptable(change[-1], self.ids, told.more)):
                self._adopt(f"{self._other}{told.first + number}", watch(value))


_Packed: TypeAlias = tuple[str, Any, Any, list[Any]]
_Pack: TypeAlias = Callable[[Change, _Shared, bool, bool], "_Packed | None"]
_Unpack: TypeAlias = Callable[[_Told, _Shared, bool], "tuple[Change | None, bool]"]


# -- from the test


def _pack_here(change: Change, shared: _Shared, is_visible: bool, is_single: bool) -> _Packed | None:
    """For the app; None for what can't cross, or is no business of the app's: responses that a test collects."""
    if is_plain(change, shared.ids):
        return _PLAIN, marshal.dumps(change), None, []
    if not is_visible or _has_foreign(change):
        return None
    with contextlib.suppress(ObjectNotSendable):
        return _WHOLE, shared.codec.pack_object(change, shared.names), None, []
    return None if is_single else (_PIECES, None, shared.codec.pack_debug({"change": change}), [])


def _has_foreign(change: Change) -> bool:
    waiting: list[object] = [change]
    left = _MOST
    while waiting and left:
        value, left = waiting.pop(), left - 1
        module = type.__getattribute__(type(value), "__module__")
        if type(module) is str and module.partition(".")[0] in FOREIGN:
            return True
        waiting += parts_of(value)
    return False


def _unpack_there(told: _Told, shared: _Shared, is_single: bool) -> tuple[Change | None, bool]:
    if told.how == _PLAIN:
        return marshal.loads(told.what), True
    if told.how == _WHOLE:
        return shared.codec.unpack_object(told.what, shared.names), True
    return shared.codec.unpack_debug(told.in_pieces)["change"], False


# -- from the app


def _pack_there(change: Change, shared: _Shared, is_visible: bool, is_single: bool) -> _Packed | None:
    """For the test, which runs none of the app's code for it. What can't cross is a stand-in in a container there.

    But where there is one thing alone, as in a variable, or an attribute, that keeps what it is in the test: which may
    go on with it, and the next copy of the app begins with it.
    """
    if is_plain(change, shared.ids):
        return _PLAIN, marshal.dumps(change), None, []
    codec = shared.codec
    in_pieces = None if is_single else codec.pack_debug({"change": change})
    exceptions = _exceptions_in(change, shared.ids)
    packed = [codec.pack_exception(error) for error in exceptions]
    with contextlib.suppress(ObjectNotSendable):
        return _WHOLE, codec.pack_result(change, shared.names | _named(exceptions)), in_pieces, packed
    if not exceptions and is_seen(change[-1], shared.ids):
        with contextlib.suppress(ObjectNotSendable):
            return _WHOLE, codec.pack_result(change, shared.names, with_locks=True), in_pieces, []
    return None if is_single else (_PIECES, None, in_pieces, [])


def _unpack_here(told: _Told, shared: _Shared, is_single: bool) -> tuple[Change | None, bool]:
    if told.how == _PLAIN:
        return marshal.loads(told.what), True
    codec = shared.codec
    if told.how == _WHOLE:
        exceptions = [codec.unpack_exception(packed) for packed in told.exceptions]
        with contextlib.suppress(ObjectNotLoadable):
            return codec.unpack_result(told.what, shared.names | _named(exceptions), _SECONDS), True
    return (None if is_single else codec.unpack_debug(told.in_pieces)["change"]), False


def _exceptions_in(change: Change, known: set[int]) -> list[BaseException]:
    found: dict[int, BaseException] = {}
    waiting: list[object] = [change]
    left = _MOST
    while waiting and left:
        value, left = waiting.pop(), left - 1
        if issubclass(type(value), BaseException):
            if id(value) not in known:
                found[id(value)] = value  # type: ignore[assignment]
        else:
            waiting += parts_of(value)
    return list(found.values())


def _named(exceptions: list[BaseException]) -> dict[str, object]:
    return {f"e{number}": error for number, error in enumerate(exceptions)}
