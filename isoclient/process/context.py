"""What of the test's process must be in force in the app's: seen when it has changed, and sent as a difference.

The app begins with the test's logging levels and warnings filters. From then on the test changes them: pytest for each
test, ``caplog.at_level`` and ``pytest.warns`` within one. So what has changed is sent before anything else that is sent
to the app. Nothing tells of such changes, and to look at a tree of hundreds of loggers before each request would cost
more than the request; hence the cheap signs that :class:`ContextWatch` looks for.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Final

from isoclient.compat.coverage_py import can_measure
from isoclient.compat.python_logging import CACHE, FORGETFUL, handlers_at_exit
from isoclient.compat.python_warnings import can_be_shown_by
from isoclient.mirror.differences import Context, Filter, Level, Pattern
from isoclient.system.locks import make_lock

__all__ = ["ContextWatch", "Settings", "settings"]

# Whenever a level changes, logging clears this cache of the root logger, whose other keys are integers.
_SEEN: Final[Any] = "isoclient has seen the levels"
_DEFAULTS: Final[dict[tuple[str, str], int]] = {("root", "level"): logging.WARNING}
_ORDINARY: Final = {"level": logging.NOTSET, "disabled": False, "propagate": True, "disable": logging.NOTSET}


class Settings:
    """What the pytest plugin and the debugger set for all apps of this process.

    Attributes:
        locals: whether tracebacks carry the text of local variables.
        epoch: to be changed whenever everything should be looked at anew, such as at the beginning of a test.
    """

    def __init__(self) -> None:
        self.locals = False
        self.epoch = 0


settings: Final = Settings()


class ContextWatch:
    """What one app has been told, and what is news to it.

    Args:
        fresh: whether the app's process is a fresh interpreter, which inherits nothing.
    """

    def __init__(self, *, fresh: bool) -> None:
        self._fresh = fresh
        self._lock = make_lock()
        self._epoch = settings.epoch
        self._locals = settings.locals
        self._version = _levels.seen()
        self._filters = warnings.filters
        self._told_filters = list(warnings.filters)
        self._at_start = dict(_DEFAULTS) if fresh else _state_of_loggers()
        self._told = dict(self._at_start)

    def first(self) -> Context:
        """What the app is to start with."""
        can_be_shown_by()  # asked here, where it is heard if they can't
        context: Context = {"locals": self._locals, "coverage": coverage_in_force(), "hooks": _hooks()}
        if self._fresh:
            context["levels"] = self._new_levels()
            context["filters"] = _plain_filters()
            context["handlers"] = bool(logging.root.handlers)
        else:
            context["inherited"] = _handlers()
        return context

    def news(self) -> Context | None:
        """What has changed since this was asked for the last time; None for nothing, which is seen within 1 µs."""
        if (
            warnings.filters is self._filters
            and _SEEN in getattr(logging.root, CACHE, FORGETFUL)
            and _levels.version == self._version
            and settings.epoch == self._epoch
            and settings.locals is self._locals
            and warnings.filters == self._told_filters
        ):
            return None
        with self._lock:
            return self._differences() or None

    def _differences(self) -> Context:
        context: Context = {}
        if settings.locals is not self._locals:
            self._locals = context["locals"] = settings.locals
        if warnings.filters != self._told_filters:
            context["filters"] = _plain_filters()
        elif warnings.filters is not self._filters or settings.epoch != self._epoch:
            # Whoever enters or leaves ``warnings.catch_warnings``, as pytest does for each test, sees warnings again.
            context["filters"] = None
        self._filters = warnings.filters
        self._told_filters = list(warnings.filters)
        self._epoch = settings.epoch
        self._version = _levels.seen()
        if levels := self._new_levels():
            context["levels"] = levels
        return context

    def _new_levels(self) -> list[Level]:
        told, self._told = self._told, _state_of_loggers()
        return [
            self._level(key)
            for key in {**told, **self._told}
            if told.get(key, _ORDINARY[key[1]]) != self._told.get(key, _ORDINARY[key[1]])
        ]

    def _level(self, key: tuple[str, str]) -> Level:
        ordinary = _ORDINARY[key[1]]
        value, at_start = self._told.get(key, ordinary), self._at_start.get(key, ordinary)
        return (*key, None if value == at_start else value, value < at_start)


class _Levels:
    """Counts how often levels have changed, as far as anybody has looked."""

    def __init__(self) -> None:
        self.version = 0

    def seen(self) -> int:
        """The version now. A change that comes while somebody reads the levels makes another one."""
        cache = getattr(logging.root, CACHE, FORGETFUL)
        if _SEEN not in cache:
            self.version += 1
            cache[_SEEN] = True
        return self.version


_levels: Final = _Levels()


def _state_of_loggers() -> dict[tuple[str, str], int]:
    """What is not as it is by default."""
    return {key: value for key, value in _attributes() if value != _ORDINARY[key[1]]}


def _attributes() -> Iterator[tuple[tuple[str, str], int]]:
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


def _handlers() -> tuple[frozenset[tuple[int, int]], list[Any]]:
    """Here, for a fork would get a copy of the memory of each logger that it looks at."""
    found = [(logger, handler) for logger in _loggers() for handler in logger.handlers]
    ids = {id(handler) for _, handler in found}
    others = [reference for reference in handlers_at_exit() if id(reference()) not in ids]
    return frozenset((id(logger), id(handler)) for logger, handler in found), others


def _plain_filters() -> list[Filter]:
    return [
        (action, _plain_pattern(message), (category.__module__, category.__qualname__), _plain_pattern(module), line)
        for action, message, categories, module, line in warnings.filters
        for category in (categories if isinstance(categories, tuple) else (categories,))
    ]


def _plain_pattern(pattern: re.Pattern[str] | str | None) -> Pattern:
    return (pattern.pattern, pattern.flags) if isinstance(pattern, re.Pattern) else pattern


def _hooks() -> tuple[bool, bool]:
    own_hook_of_threads = threading.excepthook is not threading.__excepthook__
    return own_hook_of_threads, sys.unraisablehook is not sys.__unraisablehook__


def coverage_in_force() -> tuple[dict[str, Any], str] | None:
    """The configuration that this process measures coverage with, and where its paths begin; None if it does not."""
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage is not None else None
    if current is None or not can_measure():
        return None
    config = {name: value for name, value in vars(current.config).items() if not name.startswith("_")}
    return config, sys.modules["coverage.files"].relative_directory()
