"""Logging: the test's levels are in force in the app, and the app's records come to the handlers of the test's process.

The place to see records is :meth:`logging.Logger.callHandlers`, not a handler: an app that configures logging removes
handlers, those at the root included. Handlers that the app has added run there, as ever. Those that a fork has
inherited, such as pytest's, do not: they belong to the test's process, and get the record there.
"""

from __future__ import annotations

import logging
import marshal
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from isoclient.compat.python_logging import CACHE, FORGETFUL, FORMAT, handlers_at_exit, keep_at_exit
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.system.modules import os
from isoclient.transit.codecs import PipeCodec
from isoclient.transit.records import plain_record, record_of

__all__ = ["SEEN", "Level", "Logs", "levels_seen", "pack_record", "unpack_record"]

SEEN: Final[Any] = "isoclient has seen the levels"
"""A key in the cache of the root logger, which logging clears whenever a level changes; its other keys are integers."""

Key: TypeAlias = tuple[str, str]
"""A logger's name, and ``"level"``, ``"disabled"`` or ``"propagate"``; or no name, and the manager's ``"disable"``."""

Level: TypeAlias = tuple[str, str, "int | bool | None", bool]
"""Both parts of the key, the value, None for what it was at the start; and whether it is lower than that."""

_DEFAULTS: Final[dict[Key, int]] = {("root", "level"): logging.WARNING}
_ORDINARY: Final = {"level": logging.NOTSET, "disabled": False, "propagate": True, "disable": logging.NOTSET}
_SERVER: Final = f'"{os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "server", "")}'

Strangers: TypeAlias = frozenset[tuple[int, int]]
"""Handlers of the test's: the ids of a logger and of a handler that it has."""


class Logs(Mirrored):
    """The levels of the tree of loggers, against what they were when the app started; and the records."""

    # -- in the test's process

    def first(self, *, fresh: bool) -> dict[str, Any]:
        """The levels, and whether the root logger has handlers. A fork has both, and is told which handlers it has."""
        self._at_start = dict(_DEFAULTS) if fresh else _state_of_loggers()
        self._told = dict(self._at_start)
        if fresh:
            return {"levels": self.notice() or [], "handled": bool(logging.root.handlers)}
        return {"inherited": _handlers()}

    def notice(self) -> list[Level] | None:
        """The levels that are others by now."""
        told, self._told = self._told, _state_of_loggers()
        return [
            self._level(key)
            for key in {**told, **self._told}
            if told.get(key, _ORDINARY[key[1]]) != self._told.get(key, _ORDINARY[key[1]])
        ] or None

    def _level(self, key: Key) -> Level:
        ordinary = _ORDINARY[key[1]]
        value, at_start = self._told.get(key, ordinary), self._at_start.get(key, ordinary)
        return (*key, None if value == at_start else value, value < at_start)

    def replay(self, payload: bytes) -> None:
        """Give a record to the handlers that it would have come to in one process.

        Levels and filters of loggers have done their work in the app's process. So has a handler that the app has a
        double of there, because the same configuration was made in both processes.
        """
        record, last, ran = unpack_record(payload)
        handled = bool(ran) | _call_handlers(record, last, ran)
        last_resort = logging.lastResort
        if not handled and last_resort is not None and record.levelno >= last_resort.level:
            last_resort.handle(record)

    # -- in the app's process

    def begin(self, first: dict[str, Any], reporter: Reporter) -> None:
        """From now on, records are told. Where the test's process has handlers, ``logging.basicConfig()`` sees some."""
        self._in_force = _InForce()
        self.apply(first.get("levels", []))
        strangers = _inherited(*first["inherited"]) if "inherited" in first else _stand_in(handled=first["handled"])

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if record.stack_info:
                record.stack_info = _stack_of_app(record.stack_info)
            last, ran = _call_own_handlers(logger, record, strangers)
            reporter.tell(pack_record(record, last.name, ran, reporter.codec))

        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign, assignment]

    def apply(self, difference: list[Level]) -> None:
        """Have these levels."""
        for level in difference:
            self._in_force.apply(level)

    def is_of_the_test(self, owner: object, key: object) -> bool:
        """See :meth:`Mirrored.is_of_the_test`; of loggers, and of what has them all."""
        name = owner.name if isinstance(owner, logging.Logger) else ""
        targets = logging.root.manager, logging.getLogger(name)
        return any(owner is target for target in targets) and (name, key) in self._in_force.has_set

    def app_is_loaded(self) -> None:
        """The app has configured its logging: what the test wants comes on top of that.

        Within one process it would too, for there the app is imported long before a test sets a level.
        """
        self._in_force.apply_again()


# -- levels, in the test's process


def levels_seen() -> object:
    """A sign that is another as soon as a level changes: to be taken before the levels are read."""
    cache = getattr(logging.root, CACHE, FORGETFUL)
    sign: object = cache.get(SEEN)
    if sign is None:  # not to be put there again where it has just been cleared
        cache[SEEN] = sign = object()
    return sign


def _state_of_loggers() -> dict[Key, int]:
    """What is not as it is by default."""
    return {key: value for key, value in _attributes() if value != _ORDINARY[key[1]]}


def _attributes() -> Iterator[tuple[Key, int]]:
    yield ("", "disable"), logging.root.manager.disable
    for logger in _loggers():
        yield (logger.name, "level"), logger.level
        yield (logger.name, "disabled"), logger.disabled
        yield (logger.name, "propagate"), logger.propagate


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for logger in list(logging.root.manager.loggerDict.values()):  # other threads may add some
        if isinstance(logger, logging.Logger):
            yield logger


def _handlers() -> tuple[Strangers, list[Any]]:
    """Those that a fork inherits, and references to those at no logger.

    They are looked for here, for a fork would get a copy of the memory of each logger that it looks at.
    """
    found = [(logger, handler) for logger in _loggers() for handler in logger.handlers]
    ids = {id(handler) for _, handler in found}
    others = [reference for reference in handlers_at_exit() if id(reference()) not in ids]
    return frozenset((id(logger), id(handler)) for logger, handler in found), others


# -- levels, in the app's process


class _InForce:
    """What is in force of the test's.

    Attributes:
        has_set: what it has ever set.
    """

    def __init__(self) -> None:
        self.has_set: set[Key] = set()
        self._wanted: dict[Key, Level] = {}
        self._set: dict[Key, int | bool] = {}  # by us
        self._own: dict[Key, int | bool] = {}  # what we have set something else in place of

    def apply(self, level: Level) -> None:
        """Put what has changed into force."""
        name, attribute, value, lower = level
        key = name, attribute
        self.has_set.add(key)
        target: Any = logging.getLogger(name) if name else logging.root.manager
        current = getattr(target, attribute)
        own = current if key not in self._set or current != self._set[key] else self._own[key]
        if value is None:
            self._wanted.pop(key, None)
            if key in self._set:
                del self._set[key], self._own[key]
                _assign(target, attribute, own)
            return
        self._wanted[key] = level
        self._own[key] = own
        if lower and key == ("root", "level"):
            # So does pytest: log_level=INFO does not silence an app that logs DEBUG.
            value = min(value, own)
        self._set[key] = value
        _assign(target, attribute, value)

    def apply_again(self) -> None:
        """The app may have set others meanwhile."""
        for level in list(self._wanted.values()):
            self.apply(level)


def _assign(target: Any, attribute: str, value: int | bool) -> None:
    setattr(target, attribute, value)
    logging.root.setLevel(logging.root.level)  # so that what loggers remember is forgotten


# -- records, in the app's process


def _inherited(strangers: Strangers, others: list[Any]) -> Strangers:
    # Of the handlers that are flushed and closed at the end of this process, only the others are left.
    keep_at_exit(others)
    return strangers


def _stand_in(*, handled: bool) -> Strangers:
    """For the handlers of the test's process at the root logger, one that does nothing.

    So ``logging.basicConfig()`` leaves alone what is configured already, as it would there.
    """
    if not handled:
        return frozenset()
    stand_in = logging.NullHandler()
    logging.root.addHandler(stand_in)
    return frozenset({(id(logging.root), id(stand_in))})


def _stack_of_app(stack: str) -> str:
    """Without our frames, and without those below them, which in a fork are of the whole test run."""
    title, *entries = stack.split("\n  File ")
    ours = [number for number, entry in enumerate(entries) if entry.startswith(_SERVER)]
    return "\n  File ".join([title, *entries[ours[-1] + 1 :]]) if ours else stack


def _call_own_handlers(
    logger: logging.Logger, record: logging.LogRecord, strangers: Strangers
) -> tuple[logging.Logger, list[Likeness]]:
    """Call the app's own handlers; return the logger where propagation ends, and which handlers have had the record."""
    ran: list[Likeness] = []
    current = logger
    while True:
        for handler in current.handlers:
            if (id(current), id(handler)) not in strangers:
                ran.append(_likeness(current, handler))
                if record.levelno >= handler.level:
                    handler.handle(record)
        if not current.propagate or current.parent is None:
            return current, ran
        current = current.parent


# -- records, in both


Likeness: TypeAlias = tuple[str, ...]
"""What two handlers have in common that the same configuration has made, once in each process."""


def _likeness(logger: logging.Logger, handler: logging.Handler) -> Likeness:
    kind = type(handler)
    return (
        logger.name,
        kind.__module__,
        kind.__qualname__,
        str(handler.name),
        str(getattr(handler, "baseFilename", "")),
        str(getattr(handler.formatter, FORMAT, "")),
    )


def pack_record(record: logging.LogRecord, last: str, ran: list[Likeness], codec: PipeCodec) -> bytes:
    """A record as bytes, with its way through the app's handlers. Never raises.

    Args:
        record: it.
        last: the name of the logger where propagation ended.
        ran: the handlers which have had it.
        codec: how its exception crosses.
    """
    return marshal.dumps((plain_record(record, codec), last, ran))


def unpack_record(data: bytes) -> tuple[logging.LogRecord, str, list[Likeness]]:
    """What :func:`pack_record` packed.

    Example:
        >>> record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "%s sold", ("a pear",), None)
        >>> unpack_record(pack_record(record, "root", [], PipeCodec()))
        (<LogRecord: shop, 20, shop.py, 7, "%s sold">, 'root', [])
    """
    plain, last, ran = marshal.loads(data)
    return record_of(plain), last, ran


# -- records, in the test's process


def _call_handlers(record: logging.LogRecord, last: str, ran: list[Likeness]) -> bool:
    """Return whether there were any."""
    found = False
    current: logging.Logger | None = logging.getLogger(record.name)
    while current is not None:
        for handler in list(current.handlers):
            found = True
            if ran and (double := _likeness(current, handler)) in ran:
                ran.remove(double)
            elif record.levelno >= handler.level:
                handler.handle(record)
        if current.name == last:
            break
        current = current.parent
    return found
