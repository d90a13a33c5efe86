"""What the test changes, where the app has it too: found by comparing, and told before the app is asked for more.

What is compared is in :mod:`isoclient.mirror.watchlist`, and how it crosses in :mod:`isoclient.mirror.carrying`. What
can't be carried over is told by an :class:`~isoclient.IsolationWarning`.
"""

from __future__ import annotations

import marshal
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from isoclient.errors import IsolationWarning
from isoclient.mirror.carrying import (
    ORIGINAL,
    START,
    VALUE,
    Change,
    Message,
    NotCarried,
    Places,
    not_carried,
    pack_changes,
)
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.mirror.standing import standing_places
from isoclient.mirror.watchlist import MISSING, Attribute, Items, Line, Watched, place_in_test, watchlist
from isoclient.transit.paths import is_plain
from isoclient.transit.shared_mocks import HasMock, has_none

__all__ = ["Changes"]

_NOWHERE: Final = ("the test", 0)


def _is_not_shared(thing: object) -> bool:
    return False


def _follows_nothing() -> Mapping[str, object]:
    return {}


class _Place(NamedTuple):
    """One that the app was told of, whoever watches it."""

    owner: Any
    number: int
    first: Any


class Changes(Mirrored):
    """What the watched places hold, as far as it differs from what the app has been told.

    Attributes:
        has_mock: tells of a number whether the app has the mock that is known by it.
        is_shared: tells of an object whether all that changes in it comes to the app anyway.
        followed: gives what the app has itself, and as it is here, by name.
        version: that of the watchlist, when it was looked at.
        to_compare: the places, and what the app has been told that they hold.
    """

    # -- in the test's process

    def __init__(self) -> None:
        self.has_mock: HasMock = has_none
        self.is_shared: Callable[[object], bool] = _is_not_shared
        self.followed: Callable[[], Mapping[str, object]] = _follows_nothing
        self._app: Any = None
        self._fresh = False
        self.version = -1
        self._standing: list[Watched] = []
        self._told: dict[Watched, Any] = {}
        self._start: dict[Watched, Any] = {}
        self.to_compare: list[tuple[Watched, Any]] = []
        self._due: list[NotCarried] = []
        self._told_of: dict[tuple[int, Any], _Place] = {}

    def of_app(self, app: Any) -> None:
        """See :meth:`Mirrored.of_app`."""
        self._app = app

    def first(self, *, fresh: bool) -> None:
        """A fork has what there is; a fresh interpreter is told what is not as it was, before all else."""
        self._fresh = fresh
        self._standing = standing_places(self._app, fresh=fresh)
        self.version = watchlist.version
        watched = self._listed()
        self._start = {} if fresh else {each: each.read() for each in watched}
        self._told = {each: self._start.get(each, each.initially) for each in watched}
        self.to_compare = list(self._told.items())

    def notice(self) -> Message | None:
        """What has changed."""
        self._look_at_the_list()
        changes = [change for watched, told in self.to_compare for change in self._changes_of(watched, told)]
        self.to_compare = list(self._told.items())
        if not changes:
            return None
        message, failures = pack_changes(
            changes,
            self._app,
            self._deviating(),
            fresh=self._fresh,
            known=self._start,
            has_mock=self.has_mock,
            is_shared=self.is_shared,
            followed={} if all(is_plain(each.key) and is_plain(each.value) for each in changes) else self.followed(),
        )
        self._due += failures
        return message

    def _listed(self) -> list[Watched]:
        """Without what is watched from the start by another name."""
        mappings = {id(each.find()) for each in self._standing if isinstance(each, Items)}
        named = {(id(each.owner), each.key) for each in self._standing if not isinstance(each, Items)}
        listed = [each for each in watchlist if (id(each.owner), each.key) not in named]
        return [
            each for each in listed if isinstance(each, Attribute) or id(each.owner) not in mappings
        ] + self._standing

    def _look_at_the_list(self) -> None:
        self.version = watchlist.version
        listed = self._listed()
        told = {each: self._told.get(each, each.initially) for each in listed}
        # What is not on the list any more, and not over there as it was, is still to be told when it is.
        told |= {each: what for each, what in self._told.items() if each not in told and not each.is_original(what)}
        self._told = told
        self.to_compare = list(told.items())

    def _changes_of(self, watched: Watched, told: Any) -> Iterator[Change]:
        if watched.holds(told):
            return
        now = self._told[watched] = watched.read()
        if not watched.how or (watched.why_not and watched.is_original(now)):
            return
        line = watched.line or place_in_test()
        if watched.why_not:
            self._due.append(not_carried("a change", watched.how, line, watched.why_not))
            return
        if not isinstance(watched, Items):
            yield self._change(watched, watched.key, now, told, line)
            return
        for key in [*told, *(key for key in now if key not in told)]:
            value, before = now.get(key, MISSING), told.get(key, MISSING)
            if before is not value:
                yield self._change(watched, key, value, before, line)

    def _change(self, watched: Watched, key: Any, value: Any, before: Any, line: Line | None) -> Change:
        if self._is_known_there(watched):
            initially = watched.initially
            original = initially.get(key, MISSING) if isinstance(watched, Items) else initially
            return Change(watched, key, value, self._code(watched, key, value), line, watched.number, original)
        # Several may watch one place. Over there its original is what it held when it was told of first.
        place = self._told_of.setdefault(
            (id(watched.owner), key), _Place(watched.owner, watchlist.new_number(), before)
        )
        return Change(watched, key, value, self._code(watched, key, value), line, place.number, place.first)

    def _is_known_there(self, watched: Watched) -> bool:
        return watched in self._start or watched.path is not None

    def _code(self, watched: Watched, key: Any, value: Any) -> str:
        originals, start = watched.originals, self._start.get(watched, MISSING)
        if isinstance(watched, Items):
            originals = tuple(original.get(key, MISSING) for original in originals)
            start = start.get(key, MISSING) if watched in self._start else None
        if not self._is_known_there(watched):
            place = self._told_of.get((id(watched.owner), key))
            if place is None or place.first is value:
                return ORIGINAL
            if all(place.first is not original for original in originals):
                return VALUE
        if any(value is original for original in originals):
            return ORIGINAL
        return START if watched in self._start and start is value else VALUE

    def _deviating(self) -> set[tuple[int, Any]]:
        """The places that mean something else over there, until it is told: the ids of their owners, and their keys."""
        found: set[tuple[int, Any]] = set()
        for watched, now in self._told.items():
            if watched.why_not:
                continue
            if not isinstance(watched, Items):
                if self._code(watched, watched.key, now) == VALUE:
                    found.add((id(watched.owner), watched.key))
            elif (mapping := watched.find()) is not None:
                found |= {(id(mapping), key) for key in now if self._code(watched, key, now[key]) == VALUE}
        return found

    def tell_what_is_due(self) -> None:
        """Warn of what was not carried over; when the rest of it has been sent, for it may be raised."""
        due, self._due = self._due, []
        for text, line in due:
            _warn(text, line)

    def replay(self, payload: bytes) -> None:
        """The app's process could not do it: warn of it."""
        _warn(*marshal.loads(payload))

    def close(self) -> None:
        """See :meth:`Mirrored.close`."""
        self._app = None
        self._standing, self._told, self._start, self.to_compare = [], {}, {}, []
        self._told_of = {}

    # -- in the app's process

    def begin(self, first: None, reporter: Reporter) -> None:
        """A fork has the places that were watched before."""
        self._reporter = reporter
        self._there = Places(watchlist)

    def is_of_the_test(self, owner: object, key: object) -> bool:
        """See :meth:`Mirrored.is_of_the_test`."""
        return self._there.has_changed(owner, key)

    def apply(self, difference: Message) -> None:
        """Change it here, too."""
        for failure in self._there.apply(difference, self._reporter.app(), self._reporter.codec.known({})):
            self._reporter.tell(marshal.dumps(tuple(failure)))


def _warn(text: str, line: Line | None) -> None:
    """At the line of the test, wherever that is by now."""
    file, number = line or _NOWHERE
    warnings.warn_explicit(IsolationWarning(text), None, file, number, registry={})
