"""How changes of watched places cross: packed in the test's process, put into force in the app's.

A place is named by the way to it (:mod:`isoclient.transit.paths`), or in a fork that has been watching it before, by
its number. What goes there crosses as arguments of ``client.call`` do; but what the app's process has itself, as the
original of a place that was changed, is never copied: it arrives as what that process has.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.mirror.standing import app_here
from isoclient.mirror.watchlist import MISSING, Attribute, Item, Items, Line, Watched, Watchlist
from isoclient.system.lift import Patches
from isoclient.transit.bounds import text_of
from isoclient.transit.classes import ClassRef, live_class, refer_to
from isoclient.transit.objects import pack_object, unpack_object
from isoclient.transit.paths import NoSuchPath, Path, find_paths, is_named, is_plain, kind_of, shallow_parts
from isoclient.transit.places import is_importable_there, is_of_tests
from isoclient.transit.shared_mocks import HasMock

__all__ = ["ORIGINAL", "START", "VALUE", "Change", "Message", "NotCarried", "Places", "not_carried", "pack_changes"]

ORIGINAL: Final = "original"
"""A place is to hold what it held at first."""
START: Final = "start"
"""The same for what it held when the app's process began."""
VALUE: Final = "value"
"""The same for something else; or nothing."""

Message: TypeAlias = tuple[list[tuple[Any, ...]], list[tuple[str, tuple[Any, ...]]], bytes]
"""The changes, the objects that are not copied, and the others, packed."""

_NOT_FOUND: Final = (
    "what it belongs to is not to be found from a module or the app. Make the change before the app is used first, or "
    "over there: by client.call(...), client.patched(...)"
)
_ADVICE: Final = (
    "What the app has there is as it was. Make the change before the app is used first, or over there by client.call "
    'or client.patched; or let test and app share memory: @pytest.mark.isolated("together")'
)


class Change(NamedTuple):
    """What one place holds by now; the number by which it is known there, and what is kept there as its original."""

    watched: Watched
    key: Any
    value: Any
    code: str
    line: Line | None
    number: int
    original: Any


class NotCarried(NamedTuple):
    """A change that the app does not see."""

    text: str
    line: Line | None


def not_carried(how: str, label: str, line: Line | None, why: str) -> NotCarried:
    """What is to be said of one, at this line, and why it is so."""
    where = f" ({line[0].rpartition('/')[2]}:{line[1]})" if line else ""
    return NotCarried(
        f"{how} of {label}{where} is not seen by the app, which runs in a process of its own: {why}", line
    )


# --- in the test's process ---


def pack_changes(
    changes: list[Change],
    app: Any,
    deviating: Set[tuple[int, Any]],
    *,
    fresh: bool,
    known: Iterable[Watched],
    has_mock: HasMock,
    is_shared: Callable[[object], bool],
    followed: Mapping[str, object],
) -> tuple[Message | None, list[NotCarried]]:
    """Pack them for the app's process.

    Args:
        changes: what has changed.
        app: the app, an import string, or None.
        deviating: the places that mean something else over there.
        fresh: whether that process is a fresh interpreter.
        known: the places that it has been watching from its start.
        has_mock: tells of a number whether it has the mock that is known by it.
        is_shared: tells of an object whether all that changes in it comes to that process anyway.
        followed: what that process has itself, as it is here, by name.

    Returns:
        The message, and what can't be carried over.
    """
    return _Packing(
        changes,
        app,
        deviating,
        fresh=fresh,
        known=set(known),
        has_mock=has_mock,
        is_shared=is_shared,
        followed=followed,
    ).pack()


class _Packing:
    def __init__(
        self,
        changes: list[Change],
        app: Any,
        deviating: Set[tuple[int, Any]],
        *,
        fresh: bool,
        known: set[Watched],
        has_mock: HasMock,
        is_shared: Callable[[object], bool],
        followed: Mapping[str, object],
    ) -> None:
        self._has_mock = has_mock
        self._is_shared = is_shared
        self._changes = changes
        self._app = app_here(app)
        self._deviating = deviating
        self._fresh = fresh
        self._known = known
        self._things: list[Any] = []
        self._indices: dict[int, int] = {}
        self._live: dict[str, Any] = dict(followed) if self._app is None else {**followed, "app": self._app}
        self._lives: list[tuple[str, tuple[Any, ...]]] = []
        self._failures: list[NotCarried] = []

    def pack(self) -> tuple[Message | None, list[NotCarried]]:
        owners = self._owners()
        changes = [change for change in self._changes if self._has_owner(change, owners)]
        self._keep_originals()
        self._keep_what_is_there(changes)
        changes = [change for change in changes if self._has_key(change)]
        blob, refused = self._blob(changes)
        entries = [self._entry(change, owners) for change in changes if not self._is_refused(change, owners, refused)]
        return ((entries, self._lives, blob) if entries else None), self._failures

    # -- whose they are

    def _owners(self) -> dict[Watched, tuple[Any, ...] | None]:
        """The owners, as the other side finds them: None for one that it knows by the number of the place."""
        found: dict[Watched, tuple[Any, ...] | None] = {}
        to_find: dict[int, list[Watched]] = {}
        for watched in dict.fromkeys(change.watched for change in self._changes):
            owner = watched.owner
            if watched.path is not None:
                found[watched] = "path", *watched.path, None
            elif watched in self._known:
                found[watched] = None
            elif isinstance(owner, type | FunctionType) and is_named(owner):
                found[watched] = _path_of_named(owner)
            elif isinstance(owner, logging.Logger):
                found[watched] = _path_of_logger(owner)
            elif isinstance(owner, type) and not self._fresh:
                found[watched] = "class", *refer_to(owner)
            else:
                to_find.setdefault(id(owner), []).append(watched)
        coming = {(id(each.watched.owner), each.key) for each in self._changes if each.code == VALUE}
        for number, path in find_paths(set(to_find), self._app, without=coming).items() if to_find else ():
            for watched in to_find[number]:
                found[watched] = "path", *path, kind_of(watched.owner)
        return found

    def _has_owner(self, change: Change, owners: dict[Watched, tuple[Any, ...] | None]) -> bool:
        if change.watched in owners:
            return True
        if self._is_shared(change.watched.owner):
            return False
        values = [each.value for each in self._changes if each.code == VALUE and each is not change]
        if id(change.watched.owner) not in shallow_parts(values):  # else it crosses as it is now
            self._fail(change, self._label(change, owners), _NOT_FOUND)
        return False

    # -- what is not copied

    def _keep_originals(self) -> None:
        for change in self._changes:
            value = change.original
            if not is_plain(value) and value is not MISSING and not isinstance(value, ModuleType):
                self._keep(value, (ORIGINAL, change.number, self._plain_key(change)))

    def _plain_key(self, change: Change) -> Any:
        return change.key if is_plain(change.key) else None

    def _keep_what_is_there(self, changes: list[Change]) -> None:
        """What of the values the other side has, too, and the keys: by the way to it."""
        values = [each.value for each in changes if each.code == VALUE]
        keys = [each.key for each in changes if not is_plain(each.key)]
        kept = set(map(id, self._live.values()))
        parts = {key: part for key, part in shallow_parts([*keys, *values]).items() if key not in kept}
        # A function is as good as a copy of it; but a key is that very one.
        wanted = {key for key, part in parts.items() if not isinstance(part, FunctionType)}
        wanted |= {id(key) for key in keys if id(key) in parts and not is_named(key)}
        if wanted:
            for key, path in find_paths(wanted, self._app, without=self._deviating, deep=False).items():
                if not (self._fresh and path.root and not is_importable_there(path.root)):
                    self._keep(parts[key], ("path", *path, kind_of(parts[key])))

    def _keep(self, obj: object, where: tuple[Any, ...]) -> None:
        name = f"there {len(self._lives)}"
        self._live[name] = obj
        self._lives.append((name, where))

    def _has_key(self, change: Change) -> bool:
        key, by_identity = change.key, vars(object)["__hash__"]
        if is_plain(key) or not (isinstance(key, FunctionType) or type(key).__hash__ == by_identity):
            return True
        if is_named(key) or any(key is kept for kept in self._live.values()):
            return True
        self._fail(change, self._label(change, {}), f"its key, {_named(key)}, is not to be found over there. {_ADVICE}")
        return False

    # -- what is

    def _blob(self, changes: list[Change]) -> tuple[bytes, dict[int, str]]:
        """All things that cross, packed; and why some don't, by their indices."""
        for change in changes:
            for thing in self._crossing(change):
                self._indices.setdefault(id(thing), len(self._things))
                if self._indices[id(thing)] == len(self._things):
                    self._things.append(thing)
        things = [_without_name(thing, self._deviating) for thing in self._things]
        try:
            return self._packed(things), {}
        except ObjectNotSendable:
            refused: dict[int, str] = {}
        for index, thing in enumerate(things):
            try:
                self._packed(thing)
            except ObjectNotSendable as error:
                refused[index] = f"{error}. {_ADVICE}"
                things[index] = None
        return self._packed(things), refused

    def _crossing(self, change: Change) -> Iterator[Any]:
        if not is_plain(change.key):
            yield change.key
        if change.code == VALUE and change.value is not MISSING:
            yield change.value

    def _packed(self, things: Any) -> bytes:
        # None of it by its name alone: the names of what was changed mean something else over there. And what is
        # patched is meant for the app, not for what packs.
        with Patches(files=True):
            return pack_object(things, self._live, same_main=not self._fresh, has_mock=self._has_mock)

    def _is_refused(
        self, change: Change, owners: dict[Watched, tuple[Any, ...] | None], refused: dict[int, str]
    ) -> bool:
        for thing in self._crossing(change):
            if (why := refused.get(self._indices[id(thing)])) is not None:
                self._fail(change, self._label(change, owners), why)
                return True
        return False

    # -- what is said

    def _entry(self, change: Change, owners: dict[Watched, tuple[Any, ...] | None]) -> tuple[Any, ...]:
        watched, key, value = change.watched, change.key, change.value
        plain, index = (key, -1) if is_plain(key) else (None, self._indices[id(key)])
        has_value = change.code == VALUE and value is not MISSING
        number = self._indices[id(value)] if has_value else -1
        name = value.__qualname__ if has_value and isinstance(value, FunctionType) else None
        what = change.code, number, name
        kind = "attribute" if isinstance(watched, Attribute) else "item"
        said = watched.how, self._label(change, owners), change.line
        return change.number, kind, owners[watched], (plain, index), what, said

    def _label(self, change: Change, owners: dict[Watched, tuple[Any, ...] | None]) -> str:
        watched = change.watched
        match owners.get(watched):
            case ("path", root, steps, _):
                owner = str(Path(root, steps))
            case _:
                owner = _named(watched.owner)
        return f"{owner}.{change.key}" if isinstance(watched, Attribute) else f"{owner}[{_named(change.key)}]"

    def _fail(self, change: Change, label: str, why: str) -> None:
        self._failures.append(not_carried(change.watched.how, label, change.line, why))


def _path_of_named(owner: Any) -> tuple[Any, ...]:
    steps = tuple(("attribute", part) for part in owner.__qualname__.split("."))
    return "path", owner.__module__, steps, kind_of(owner)


def _path_of_logger(owner: logging.Logger) -> tuple[Any, ...]:
    steps = ("attribute", "manager"), ("attribute", "loggerDict"), ("item", owner.name)
    return "path", "logging", (("attribute", "root"), *(steps if owner is not logging.root else ())), kind_of(owner)


def _named(obj: Any) -> str:
    """What an object is called in a text."""
    if isinstance(obj, ModuleType):
        return obj.__name__
    if isinstance(obj, FunctionType | type):
        return f"{obj.__module__}.{obj.__qualname__}"
    return text_of(obj, repr, 80)


def _without_name(thing: Any, deviating: Set[tuple[int, Any]]) -> Any:
    """A function that crosses as it is, where its own name leads to it here, but to something else over there.

    As one that ``functools.wraps`` the function which it stands for.
    """
    if not isinstance(thing, FunctionType) or not is_named(thing):
        return thing
    owner: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        if (id(owner), part) in deviating:
            copy = FunctionType(
                thing.__code__, thing.__globals__, thing.__name__, thing.__defaults__, thing.__closure__
            )
            copy.__kwdefaults__, copy.__qualname__ = thing.__kwdefaults__, f"<{thing.__qualname__}>"
            vars(copy).update(vars(thing))
            return copy
        owner = getattr(owner, part, None)
    return thing


# --- in the app's process ---


class Places:
    """What has been changed here, and what was there before.

    Args:
        watchlist: what a fork has inherited.
    """

    def __init__(self, watchlist: Watchlist) -> None:
        self._app: Any = None
        self._inherited = {watched.number: (watched, watched.read()) for watched in watchlist}
        self._originals: dict[tuple[int, Any], Any] = {}
        self._changed: dict[tuple[int, Any], Any] = {}  # the owners, which are kept: their ids are not to be others'

    def has_changed(self, owner: object, key: object) -> bool:
        """Whether it has changed, or put back, what an object has under this name or key; with None, under any."""
        return any(changed is owner and key in (None, name) for (_, name), changed in self._changed.items())

    def apply(self, message: Message, app: object, known: Mapping[str, object]) -> Iterator[NotCarried]:
        """Put changes into force; returns those that can't be.

        Args:
            message: the changes.
            app: the app.
            known: what both processes have, by name.
        """
        self._app = app
        entries, lives, blob = message
        placed: list[tuple[Any, tuple[Any, ...]]] = []
        for entry in entries:
            try:
                owner = self._owner(entry)
            except NoSuchPath as error:
                yield _of_entry(entry, f"{error}. {_ADVICE}")
            else:
                if owner is not None:
                    placed.append((owner, entry))
        for owner, (number, kind, _, (key, index), _, _) in placed:
            if index < 0:
                self._original(owner, number, kind, key)  # before anything is changed
        try:
            things = self._things(lives, blob, known)
        except ObjectNotLoadable as error:
            things, why = None, f"{error}. {_ADVICE}"
        for owner, entry in placed:
            if things is None and (entry[3][1] >= 0 or entry[4][1] >= 0):
                yield _of_entry(entry, why)
                continue
            try:
                self._put(owner, entry, things or [])
            except Exception as error:  # of an object that takes no such attribute
                yield _of_entry(entry, f"it can't be set over there: {error!r}. {_ADVICE}")

    def _owner(self, entry: tuple[Any, ...]) -> Any:
        """Whose place it is; None where nothing here can use it."""
        number, _, where, *_ = entry
        if where is None:
            watched: Watched = self._inherited[number][0]
            return watched.find() if isinstance(watched, Items) else watched.owner
        if where[0] == "class":
            found = live_class(ClassRef(*where[1:]), object)
            if found is None:
                raise NoSuchPath(f"the app's process has no such class {where[2]}")
            return found
        return self._at(*where[1:])

    def _at(self, root: str, steps: tuple[Any, ...], kind: str | None) -> Any:
        if root and root not in sys.modules:
            if is_of_tests(root):
                return None
            try:
                importlib.import_module(root)
            except Exception as error:
                raise NoSuchPath(f"{root} can't be imported there ({error!r})") from None
        path = Path(root, steps)
        found = path.find(self._app)
        if kind is not None and kind_of(found) != kind:
            raise NoSuchPath(f"{path} is of another kind there: {kind_of(found)}, and not {kind}")
        return found

    def _things(self, lives: list[tuple[str, tuple[Any, ...]]], blob: bytes, known: Mapping[str, object]) -> list[Any]:
        live = {**known, "app": self._app}
        for name, (what, *where) in lives:
            try:
                if what == ORIGINAL:
                    live[name] = self._originals.get((where[0], where[1]), MISSING)
                    if live[name] is MISSING and where[0] in self._inherited:
                        live[name] = self._inherited_original(where[0], where[1])
                else:
                    live[name] = self._at(*where)
            except NoSuchPath as error:
                live[name] = _Gone(str(error))
        with Patches(files=True):
            found: list[Any] = unpack_object(blob, live)
        return found

    def _inherited_original(self, number: int, key: Any) -> Any:
        watched, _ = self._inherited[number]
        original = watched.originals[0]
        return original.get(key, MISSING) if isinstance(watched, Items) else original

    def _original(self, owner: Any, number: int, kind: str, key: Any) -> Any:
        if number in self._inherited:
            return self._inherited_original(number, key)
        if (number, key) not in self._originals:
            self._originals[number, key] = _read(owner, kind, key)
        return self._originals[number, key]

    def _start(self, number: int, key: Any) -> Any:
        watched, start = self._inherited[number]
        return start.get(key, MISSING) if isinstance(watched, Items) else start

    def _put(self, owner: Any, entry: tuple[Any, ...], things: list[Any]) -> None:
        number, kind, _, (key, index), (code, which, name), _ = entry
        key = key if index < 0 else things[index]
        original = self._original(owner, number, kind, key)
        if code == VALUE:
            value = things[which] if which >= 0 else MISSING
            if name is not None and isinstance(value, FunctionType) and value.__qualname__ == f"<{name}>":
                value.__qualname__ = name
        else:
            value = original if code == ORIGINAL else self._start(number, key)
        self._changed[id(owner), key] = owner
        _write(owner, kind, key, value)


class _Gone:
    """Stands for something that should have been here."""

    def __init__(self, why: str) -> None:
        self.why = why


def _of_entry(entry: tuple[Any, ...], why: str) -> NotCarried:
    how, label, line = entry[-1]
    return not_carried(how, label, line, why)


def _read(owner: Any, kind: str, key: Any) -> Any:
    watched = Attribute if kind == "attribute" else Item
    return watched(0, owner, key, (), "").read()


def _write(owner: Any, kind: str, key: Any, value: Any) -> None:
    if kind == "attribute":
        if value is not MISSING:
            setattr(owner, key, value)
        elif _read(owner, kind, key) is not MISSING:
            delattr(owner, key)
    elif value is not MISSING:
        owner[key] = value
    elif key in owner:
        del owner[key]
