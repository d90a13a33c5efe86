"""Python's logging: what a formatter is made of, what is remembered of levels, which handlers are closed at exit."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from isoclient.compat.self_tests import self_test

__all__ = ["CACHE", "FORGETFUL", "FORMAT", "handlers_at_exit", "keep_at_exit"]

FORMAT: Final = "_fmt"
"""The attribute of a formatter that has its format."""

CACHE: Final = "_cache"
"""The attribute of a logger that is cleared whenever any level changes."""


class _Forgetful(dict[Any, Any]):
    def __setitem__(self, key: object, value: object) -> None:
        pass


FORGETFUL: Final[MutableMapping[Any, Any]] = _Forgetful()
"""Stands for one that is not there: in it nothing is remembered."""


@self_test("Closing only its own handlers at the end of an app that is a fork", project="Python")
def _knows_handlers() -> None:
    handlers: Any = logging._handlerList  # type: ignore[attr-defined]
    assert type(handlers) is list
    assert all(callable(reference) for reference in handlers)


def handlers_at_exit() -> list[Any]:
    """References to the handlers that are flushed and closed at exit."""
    return list(logging._handlerList) if _knows_handlers() else []  # type: ignore[attr-defined]


def keep_at_exit(references: list[Any]) -> None:
    """Let those be the only ones."""
    if _knows_handlers():
        logging._handlerList[:] = references  # type: ignore[attr-defined]
