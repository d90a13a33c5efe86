"""The list of what is mirrored, and the two mirrors: of the test's process, one for each app, and of the app's.

The app begins with what is in force in the test. From then on the test changes it: pytest for each test,
``caplog.at_level`` and ``pytest.warns`` within one. So what has changed is sent before anything else that is sent to
the app. What the app tells goes the other way, by the journal.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from isoclient.compat.python_logging import CACHE, FORGETFUL
from isoclient.mirror.logs import SEEN, Logs, levels_seen
from isoclient.mirror.measurement import Measurement
from isoclient.mirror.mirrored import Context, Mirrored, Reporter
from isoclient.mirror.run import run
from isoclient.mirror.traceback_locals import TracebackLocals
from isoclient.mirror.unhandled import Unhandled
from isoclient.mirror.warns import Warns
from isoclient.system.locks import make_lock

if TYPE_CHECKING:
    from isoclient.transit.codecs import PipeCodec

__all__ = ["MIRRORED", "ClientMirror", "ServerMirror", "kind_of"]

MIRRORED: Final[dict[str, type[Mirrored]]] = {
    "coverage": Measurement,  # before the others, for what they do is not the app's
    "locals": TracebackLocals,
    "logging": Logs,
    "warnings": Warns,
    "unhandled": Unhandled,
}
"""All things that are mirrored. The place of one in this list is the kind of its entries in the journal."""


def kind_of(name: str) -> int:
    """The kind of the entries in the journal that are of the thing of this name."""
    return list(MIRRORED).index(name)


class ClientMirror:
    """What one app has been told of the test's process, and what it has told.

    Args:
        fresh: whether the app's process is a fresh interpreter, which inherits nothing.
    """

    def __init__(self, *, fresh: bool) -> None:
        self._fresh = fresh
        self._things = {name: thing() for name, thing in MIRRORED.items()}
        self._replays = [thing.replay for thing in self._things.values()]
        self._lock = make_lock()
        self._look()

    def _look(self) -> None:
        """Take the signs that :meth:`news` compares, before what they are signs of: so no change gets lost between."""
        self._cache = getattr(logging.root, CACHE, FORGETFUL)
        self._levels = levels_seen()
        self._epoch = run.epoch
        self._locals = run.locals
        self._filters = warnings.filters
        self._copy = list(warnings.filters)

    def first(self) -> Context:
        """What the app is to begin with."""
        self._look()
        found = {name: thing.first(fresh=self._fresh) for name, thing in self._things.items()}
        return {name: what for name, what in found.items() if what is not None}

    def news(self) -> Context | None:
        """What has changed since this was asked for the last time; None for nothing, which is seen within 1 µs.

        Nothing tells of changes, and to look at a tree of hundreds of loggers before each request would cost more than
        the request; hence cheap signs. They are all looked for in this place: to ask each thing would take longer than
        to look.
        """
        if (
            warnings.filters is self._filters
            and self._cache.get(SEEN) is self._levels
            and run.epoch == self._epoch
            and run.locals is self._locals
            and warnings.filters == self._copy
        ):
            return None
        with self._lock:
            self._look()
            found = {name: thing.notice() for name, thing in self._things.items()}
            return {name: what for name, what in found.items() if what is not None} or None

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
    """

    def __init__(self, context: Context, codec: PipeCodec, write: Callable[[int, bytes], None]) -> None:
        self.at_call_end: list[Callable[[], None]] = []
        self._things = {name: thing() for name, thing in MIRRORED.items()}
        for kind, (name, thing) in enumerate(self._things.items()):
            thing.begin(context.get(name), Reporter(partial(write, kind), codec, self.at_call_end))

    def apply(self, context: Context) -> None:
        """Put what has changed into force. Never raises: calls of the app come behind it, and are to be answered."""
        for name, difference in context.items():
            try:
                self._things[name].apply(difference)
            except Exception as error:  # of what the app has put in the place of a logger, for one
                print(f"isoclient: {name} of the test can't be put into force in the app: {error!r}", file=sys.stderr)

    def app_is_loaded(self) -> None:
        """See :meth:`Mirrored.app_is_loaded`."""
        for thing in self._things.values():
            thing.app_is_loaded()
