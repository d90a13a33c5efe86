"""Which places of this process are watched, because the app's process is to have there what this one has.

A test changes an app that runs: by pytest's ``monkeypatch``, by ``unittest.mock.patch``, by hand. What is noted here is
not what it does, but *where*: an attribute of an object, a key of a mapping, or a whole mapping. Before anything is
sent to an app, what these places hold is compared to what the app was told (:mod:`isoclient.mirror.changes`). So nested
patches, and those that are undone in any order, or by hand, are no special cases.

It imports next to nothing, so that the pytest plugin can have it note all from the start of a run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType, ModuleType
from typing import Any, Final

__all__ = [
    "MISSING",
    "Attribute",
    "Item",
    "Items",
    "Line",
    "Watched",
    "Watchlist",
    "copied",
    "note_all",
    "place_in_test",
    "watchlist",
]

Line = tuple[str, int]
"""A file, and a line of it."""

_MOST: Final = 256  # places that are noted before those that are as they were are forgotten


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()
"""What a place holds that holds nothing."""


class Watched:
    """A place.

    Attributes:
        number: by which a fork of this process knows it, too.
        owner: the object or mapping; None where that is found afresh each time.
        key: the name of the attribute, or the key.
        originals: what it held at first, as far as that was noted; and what is as good.
        how: what has changed it, as its user knows that; nothing, if what is there crosses by another way.
        line: where the test has done so last.
        path: the way to the owner over there, or to the mapping, if it is known already.
        why_not: of a place whose changes can't be carried over: why, and what to do; else empty.
    """

    why_not = ""
    __slots__ = ("how", "key", "line", "number", "originals", "owner", "path")

    def __init__(self, number: int, owner: Any, key: Any, originals: tuple[Any, ...], how: str) -> None:
        self.number = number
        self.owner = owner
        self.key = key
        self.originals = originals
        self.how = how
        self.line: Line | None = None
        self.path: Any = None

    def read(self) -> Any:
        """What it holds, or MISSING."""
        raise NotImplementedError  # each kind of place has its own

    def holds(self, told: Any) -> bool:
        """Whether that is this still."""
        return self.read() is told

    @property
    def initially(self) -> Any:
        """What it held at first; nothing, where that is not known."""
        return self.originals[0] if self.originals else MISSING

    def is_original(self, value: Any) -> bool:
        """Whether this is what it held at first."""
        return any(value is original for original in self.originals)

    @property
    def is_as_it_was(self) -> bool:
        """Whether it holds that again."""
        return self.is_original(self.read())


class Attribute(Watched):
    """An attribute of an object, as far as that has it of its own."""

    __slots__ = ("_names",)

    def __init__(self, number: int, owner: Any, key: Any, originals: tuple[Any, ...], how: str) -> None:
        super().__init__(number, owner, key, originals, how)
        self._names = _own_names(owner, key)

    def read(self) -> Any:
        """See :meth:`Watched.read`."""
        if self._names is not None:
            return self._names.get(self.key, MISSING)
        try:
            return getattr(self.owner, self.key, MISSING)
        except Exception:  # of an object that answers for itself
            return MISSING


class Item(Watched):
    """What a mapping has for a key."""

    __slots__ = ()

    def read(self) -> Any:
        """See :meth:`Watched.read`."""
        try:
            return self.owner[self.key]
        except Exception:  # a KeyError, most likely; but it may be anybody's mapping
            return MISSING


class Items(Watched):
    """All items of a mapping.

    Args:
        find: returns the mapping, which may be another one each time; None where there is none.
    """

    __slots__ = ("find",)

    def __init__(
        self, number: int, find: Callable[[], Mapping[Any, Any] | None], originals: tuple[Any, ...], how: str
    ) -> None:
        super().__init__(number, None, None, originals, how)
        self.find = find

    def read(self) -> Any:
        """A copy of it: a dict."""
        mapping = self.find()
        return {} if mapping is None else copied(mapping)

    @property
    def initially(self) -> Any:
        """See :attr:`Watched.initially`."""
        return self.originals[0] if self.originals else {}

    def holds(self, told: Any) -> bool:
        """See :meth:`Watched.holds`: whether each value is the very same."""
        mapping = self.find()
        if not mapping:
            return not told
        if len(mapping) != len(told):
            return False
        try:
            for key, value in mapping.items():
                if told.get(key, MISSING) is not value:
                    return False
        except Exception:  # another thread changes it, or it is anybody's mapping
            return False
        return True

    def is_original(self, value: Any) -> bool:
        """See :meth:`Watched.is_original`."""
        return any(
            len(original) == len(value) and all(original.get(key, MISSING) is value[key] for key in value)
            for original in self.originals
        )


def copied(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """A mapping as a dict, whatever it is."""
    for _ in range(10):
        try:
            return dict(mapping.items())
        except RuntimeError:  # another thread changes it
            continue
        except Exception:
            break
    return {}


def _own_names(owner: Any, key: str) -> Any:
    """What has the attributes of an object of its own, or None where only asking the object tells what is there."""
    kind = type(owner)
    if isinstance(owner, type | ModuleType):
        return owner.__dict__
    for layer in kind.__mro__[:-1]:
        names = vars(layer)
        if "__setattr__" in names or "__getattribute__" in names or hasattr(type(names.get(key)), "__set__"):
            return None
    found: Any = getattr(owner, "__dict__", None)
    return found if isinstance(found, dict) else None


# Whose frames are not those of the test.
_PATCHERS: Final = ("isoclient", "unittest", "mock", "_pytest", "pytest", "pluggy", "contextlib", "pytest_mock")
_HTTPX: Final = ("httpx", "httpx2", "httpcore", "starlette", "anyio", "sniffio", "asyncio", "trio")
_CLIENTS: Final = (*_PATCHERS, *_HTTPX, "threading", "concurrent", "requests", "urllib3", "litestar")


def _first_line(frames: Iterable[FrameType], between: tuple[str, ...]) -> Line | None:
    for frame in frames:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in between:
            return frame.f_code.co_filename, frame.f_lineno
    return None


def _below(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def place_in_test() -> Line | None:
    """Where the test is that uses a client just now, as far as that can be seen."""
    found = _first_line(_below(sys._getframe()), _CLIENTS)
    if found is None and (threading := sys.modules.get("threading")) is not None:
        # Some clients have the app called in another thread.
        from isoclient.system.thread_frames import stack_of

        found = _first_line(stack_of(threading.main_thread().ident), _CLIENTS)
    return found


class Watchlist:
    """The places.

    Attributes:
        version: another number whenever there are others.
        watched: the places, each by what it is.
        named: what the user has named: ``package.module:path``, or ``.path`` for what is the app's.
    """

    missing: Any = MISSING

    def __init__(self) -> None:
        self.version = 0
        self.watched: dict[tuple[type, int, Any], Watched] = {}
        self.named: tuple[str, ...] = ()
        self._numbers = 0
        self._young = 0

    def __iter__(self) -> Iterator[Watched]:
        return iter(list(self.watched.values()))

    def new_number(self) -> int:
        """One that no other place has, here or in a fork."""
        self._numbers += 1
        return self._numbers

    def note_attribute(self, owner: Any, name: str, how: str, *originals: Any) -> None:
        """This attribute is changed, or is about to be."""
        owner = _meant(owner)
        if isinstance(owner, ModuleType) and (owner.__name__, name) == ("os", "environ"):
            self._note(Attribute, owner, name, originals, "")
        elif not (_is_of_the_process(owner, name) or _is_of_the_test(owner) or _is_known_of_loggers(owner, name)):
            self._note(Attribute, owner, name, originals, how)

    def note_item(self, mapping: Any, key: Any, how: str, *originals: Any) -> None:
        """What this mapping has for a key is changed, or is about to be."""
        if not _is_of_the_process(mapping):
            items = self.watched.get((Items, id(mapping), None))
            if items is not None:  # which were noted before, and know what was there before
                originals = (items.initially.get(key, MISSING),)
            self._note(Item, mapping, key, originals, how)

    def note_items(self, mapping: Any, how: str, original: dict[Any, Any]) -> None:
        """Any item of this mapping is changed, or is about to be."""
        if not _is_of_the_process(mapping):
            key = Items, id(mapping), None
            watched = self.watched.get(key)
            if watched is None:
                items = [each for each in self if isinstance(each, Item) and each.owner is mapping]
                original = {**original, **{each.key: each.initially for each in items}}
                original = {name: value for name, value in original.items() if value is not MISSING}
                watched = Items(self.new_number(), lambda: mapping, (original,), how)
                watched.owner = mapping
                self._enter(key, watched)
            watched.line = _first_line(_below(sys._getframe(1)), _PATCHERS)

    def _note(self, kind: Any, owner: Any, name: Any, originals: tuple[Any, ...], how: str) -> None:
        key = kind, id(owner), name
        watched = self.watched.get(key)
        if watched is None:
            watched = kind(self.new_number(), owner, name, originals, how)
            self._enter(key, watched)
        watched.how = how
        watched.line = _first_line(_below(sys._getframe(2)), _PATCHERS)

    def _enter(self, key: tuple[type, int, Any], watched: Watched) -> None:
        self._young += 1
        if self._young > _MOST:
            self.forget_what_is_as_it_was()
        self.watched[key] = watched
        self.version += 1

    def forget_what_is_as_it_was(self) -> None:
        """Whoever changes it again notes it again; and who has been told otherwise keeps it by himself."""
        self._young = 0
        for key, watched in list(self.watched.items()):
            if watched.is_as_it_was:
                self.watched.pop(key, None)
                self.version += 1


# Which are the test's, and no app's. Mocks are carried over in their own way.
_OF_THE_TEST: Final = ("_pytest.", "pytest.", "pluggy.", "isoclient.", "starlette.testclient.", "unittest.", "mock.")


def _is_of_the_test(owner: Any) -> bool:
    if isinstance(owner, ModuleType):
        homes = [owner.__name__]
    elif isinstance(owner, type):
        homes = [owner.__module__]
    else:  # plugins have kinds of their own of what pytest has
        homes = [kind.__module__ for kind in type(owner).__mro__]
    return any(f"{home}.".startswith(_OF_THE_TEST) for home in homes)


def _meant(owner: Any) -> Any:
    """The app, where something stands for it."""
    return owner.app if getattr(type(owner), "stands_for_app", False) else owner


# Of which each process has its own, or which cross by another way.
_OF_THE_PROCESS: Final = {
    "sys": ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__", "path"),
}


def _is_of_the_process(owner: Any, name: str = "") -> bool:
    if isinstance(owner, ModuleType):
        return name in _OF_THE_PROCESS.get(owner.__name__, ())
    return owner is getattr(sys.modules.get("os"), "environ", None) and not name


def _is_known_of_loggers(owner: Any, name: str) -> bool:
    """Whether :mod:`isoclient.mirror.logs` tells of it."""
    kind = getattr(sys.modules.get("logging"), "Logger", None)
    return kind is not None and isinstance(owner, kind) and name in ("level", "disabled", "handlers")


watchlist: Final = Watchlist()
"""One for the process."""


def note_all(*, late: bool) -> None:
    """From now on, note what is changed by ``monkeypatch`` and by ``unittest.mock``; idempotent.

    Args:
        late: whether something may have been changed before.
    """
    if _noting:
        return
    from isoclient.compat.pytest_ import note_changes
    from isoclient.compat.python_patching import MODULES, note_patches
    from isoclient.system.when_imported import WhenImported

    note_changes(watchlist, late=late)
    _noting.append(WhenImported(MODULES, lambda module: note_patches(module, watchlist)))
    _noting[0].begin()


_noting: Final[list[Any]] = []
