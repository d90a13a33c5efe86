"""The list of what is mirrored, and the two mirrors: of the test's process, one for each app, and of the app's.

The app begins with what is in force in the test. From then on the test changes it: pytest for each test,
``caplog.at_level`` and ``pytest.warns`` within one. So what has changed is sent before anything else that is sent to
the app. What the app tells goes the other way, by the journal.
"""

from __future__ import annotations

import logging
import sys
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from isoclient.compat.python_environ import variables
from isoclient.compat.python_logging import CACHE, FORGETFUL
from isoclient.mirror.changes import Changes
from isoclient.mirror.environment import Environment, directory
from isoclient.mirror.logs import SEEN, Logs, levels_seen
from isoclient.mirror.measurement import Measurement
from isoclient.mirror.mirrored import Context, Mirrored, Reporter
from isoclient.mirror.mocks import Mocks
from isoclient.mirror.run import run
from isoclient.mirror.shared_locals import SharedLocals
from isoclient.mirror.time_travel import MACHINES, TimeTravel, signs
from isoclient.mirror.traceback_locals import TracebackLocals
from isoclient.mirror.unhandled import Unhandled
from isoclient.mirror.warns import Warns
from isoclient.mirror.watchlist import note_all, watchlist
from isoclient.system.locks import make_lock
from isoclient.system.modules import os
from isoclient.transit.shared_mocks import HasMock

if TYPE_CHECKING:
    from isoclient.transit.codecs import PipeCodec

__all__ = ["MIRRORED", "ClientMirror", "ServerMirror"]

_Thing = TypeVar("_Thing", bound=Mirrored)

MIRRORED: Final[dict[str, type[Mirrored]]] = {
    "coverage": Measurement,  # before the others, for what they do is not the app's
    "locals": TracebackLocals,
    "logging": Logs,
    "warnings": Warns,
    "unhandled": Unhandled,
    "mocks": Mocks,
    "time": TimeTravel,  # which sets the time zone, too, and puts back what that was
    "environment": Environment,
    "changes": Changes,  # after it, for what they set may have to be imported
    "shared locals": SharedLocals,
}
"""All things that are mirrored. The place of one in this list is the kind of its entries in the journal."""


class ClientMirror:
    """What one app has been told of the test's process, and what it has told.

    Args:
        fresh: whether the app's process is a fresh interpreter, which inherits nothing.
        app: the app, or its import string; None where this process has neither.

    Attributes:
        has_mock: tells of a number whether the app has the mock that is known by it, as it has from its start.
    """

    def __init__(self, *, fresh: bool, app: object = None) -> None:
        note_all(late=True)  # if it is not done already
        self._fresh = fresh
        self._things = {name: thing() for name, thing in MIRRORED.items()}
        for thing in self._things.values():
            thing.of_app(app)
        self._mocks = self._of(Mocks)
        self.has_mock: HasMock = self._mocks.has_at_start
        self._shared_locals = self._of(SharedLocals)
        self._replays = [thing.replay for thing in self._things.values()]
        self._changes = self._of(Changes)
        self._changes.has_mock = self.has_mock
        self._lock = make_lock()
        self._is_telling = False
        self._look()

    def _of(self, kind: type[_Thing]) -> _Thing:
        return next(thing for thing in self._things.values() if isinstance(thing, kind))

    def _look(self) -> None:
        """Take the signs that :meth:`news` compares, before what they are signs of: so no change gets lost between."""
        self._cache = getattr(logging.root, CACHE, FORGETFUL)
        self._levels = levels_seen()
        self._epoch = run.epoch
        self._locals = run.locals
        self._filters = warnings.filters
        self._copy = list(warnings.filters)
        self._variables = variables()
        self._variables_then = self._variables.copy()
        self._path = list(sys.path)
        self._travels: tuple[object, ...] = signs()
        self._directory = directory()

    def read_journal_by(self, read: Callable[[], object]) -> None:
        """How things may have read what the app has told, when nobody waits for it."""
        self._mocks.read_journal = weakref.WeakMethod(read)

    def share_locals(self, codec: PipeCodec) -> None:
        """Keep what the test has made for itself alike in both processes; it crosses by this codec."""
        self._shared_locals.codec = codec
        codec.twins = self._shared_locals
        self._mocks.codec = codec
        self._changes.is_shared = self._shared_locals.has
        self._changes.followed = codec.followed

    @property
    def is_live(self) -> bool:
        """Whether both sides are to tell of changes also while a call is under way."""
        return any(thing.is_live for thing in self._things.values())

    def end(self) -> None:
        """The app is over."""
        self._shared_locals.end()

    def first(self) -> Context:
        """What the app is to begin with."""
        self._look()
        if self._fresh:
            self._travels = None, None
        found = {name: thing.first(fresh=self._fresh) for name, thing in self._things.items()}
        return {name: what for name, what in found.items() if what is not None}

    def _is_as_told(self) -> bool:
        """Whether nothing has changed, and no other thread is telling just now; seen within 3 µs.

        Nothing tells of changes, and to look at a tree of hundreds of loggers before each request would cost more than
        the request; hence cheap signs. They are all looked for in this place: to ask each thing would take longer than
        to look.
        """
        try:
            is_here = os.getcwd() == self._directory
        except OSError:  # it has been removed
            is_here = not self._directory
        return (
            is_here
            and warnings.filters is self._filters
            and self._cache.get(SEEN) is self._levels
            and run.epoch == self._epoch
            and run.locals is self._locals
            and not self._mocks.changed
            and not (self._mocks.functions and self._mocks.functions_have_changed())
            and warnings.filters == self._copy
            and not ((watched := self._shared_locals.watched) is not None and watched.have_changed())
            and self._variables == self._variables_then
            and sys.path == self._path
            and watchlist.version == self._changes.version
            and not self._is_telling
            and (sys.modules.keys().isdisjoint(MACHINES) or signs() == self._travels)
            and all([place.holds(told) for place, told in self._changes.to_compare])  # noqa: C419  # is faster
        )

    def news(self) -> Context | None:
        """What has changed since this was asked for the last time; None for nothing."""
        if self._is_as_told():
            return None
        with self._lock:
            self._look()
            found = {name: thing.notice() for name, thing in self._things.items()}
            return {name: what for name, what in found.items() if what is not None} or None

    def tell_news(self, tell: Callable[[Context], object]) -> None:
        """Tell what has changed; when this is over, it is told, whichever thread does it.

        Args:
            tell: is called with it, if there is anything.

        Raises:
            IsolationWarning: something of it can't be carried over, and warnings are errors.
        """
        if self._is_as_told():
            return
        with self._lock:
            self._is_telling = True
            try:
                if (news := self.news()) is not None:
                    tell(news)
            finally:
                self._is_telling = False
        self._mocks.tell_what_is_due()
        self._changes.tell_what_is_due()

    def close(self) -> None:
        """The app has ended."""
        for thing in self._things.values():
            thing.close()

    def replay(self, kind: int, payload: bytes) -> None:
        """Act on an entry of the journal."""
        self._replays[kind](payload)


class ServerMirror:
    """What is in force in this process of the test's, and what is told to the test; made before the app is loaded.

    Args:
        context: what is to be in force.
        codec: how exceptions cross.
        write: writes an entry of this kind, with this payload, into the journal.

    Attributes:
        at_call_end: to be called whenever a call of the app has ended, before the test knows.
        app: the app, once it is loaded.
        before_telling: to be called before anything is said to the test.
        is_live: whether that is to be done now and then while a call is under way, too.
    """

    app: object = None

    def __init__(self, context: Context, codec: PipeCodec, write: Callable[[int, bytes], None]) -> None:
        self.at_call_end: list[Callable[[], None]] = []
        self.before_telling: list[Callable[[], None]] = []
        self._things = {name: thing() for name, thing in MIRRORED.items()}
        for kind, (name, thing) in enumerate(self._things.items()):
            reporter = Reporter(partial(write, kind), codec, self.at_call_end, lambda: self.app, self.before_telling)
            thing.begin(context.get(name), reporter)
        self.is_live = any(thing.is_live for thing in self._things.values())

    def apply(self, context: Context) -> None:
        """Put what has changed into force. Never raises: calls of the app come behind it, and are to be answered."""
        for name, difference in context.items():
            try:
                self._things[name].apply(difference)
            except Exception as error:  # of what the app has put in the place of a logger, for one
                print(f"isoclient: {name} of the test can't be put into force in the app: {error!r}", file=sys.stderr)

    def is_of_the_test(self, owner: object, key: object) -> bool:
        """Whether the test has changed what an object has under this name or key; with None, under any."""
        return any(thing.is_of_the_test(owner, key) for thing in self._things.values())

    def app_is_loaded(self) -> None:
        """See :meth:`Mirrored.app_is_loaded`."""
        for thing in self._things.values():
            thing.app_is_loaded()
