"""Logging: handlers and levels of loggers, and which are disabled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

from isoclient.leaks.found import Found, short
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT

__all__ = ["Loggers"]


class _Logger(NamedTuple):
    level: int = 0
    handlers: tuple[Any, ...] = ()
    disabled: bool = False


class Loggers:
    """All loggers; a new one is no leak, but what it was given is."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def before(self) -> tuple[int, dict[str, _Logger]]:
        return logging.root.manager.disable, {
            logger.name: _Logger(logger.level, tuple(logger.handlers), bool(logger.disabled)) for logger in _loggers()
        }

    def after(self, before: tuple[int, dict[str, _Logger]]) -> Iterator[Found]:
        disabled, loggers = self.before()
        if disabled != before[0]:
            yield from self._found("", "disable", f"logging.disable({disabled}) (was {before[0]})")
        for name, now in loggers.items():
            then = before[1].get(name, _Logger())
            if now != then:
                yield from self._changes(name, now, then)

    def _changes(self, name: str, now: _Logger, then: _Logger) -> Iterator[Found]:
        if now.level != then.level:
            what = f"level {logging.getLevelName(now.level)} of {name} (was {logging.getLevelName(then.level)})"
            yield from self._found(name, "level", what)
        if now.disabled != then.disabled:
            yield from self._found(name, "disabled", f"{name} {'disabled' if now.disabled else 'enabled'}")
        for handler in now.handlers:
            if not _is_among(handler, then.handlers) and not isinstance(handler, logging.NullHandler):
                yield from self._found(name, "handlers", f"handler {short(handler)} of {name}")
        for handler in then.handlers:
            if not _is_among(handler, now.handlers):
                yield from self._found(name, "handlers", f"handler {short(handler)} of {name} removed")

    def _found(self, name: str, part: str, what: str) -> Iterator[Found]:
        origin = self._subject.origins.of("logging", (name, part))
        owner = logging.getLogger(name) if name else logging.root.manager
        if origin is not ISOCLIENT and not self._subject.is_of_the_test(owner, part):
            yield Found("logging", what, origin, (name, what))


def _is_among(handler: object, handlers: tuple[Any, ...]) -> bool:
    return any(handler is other for other in handlers)


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger
