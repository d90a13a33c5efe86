"""The app's log records: each goes into the journal, and from there to the handlers of the test's process.

The place to see them is :meth:`logging.Logger.callHandlers`, not a handler: an app that configures logging removes
handlers, those at the root included. Handlers that the app has added run here, as ever. Those that a fork has
inherited, such as pytest's, do not: they belong to the test's process, and get the record there.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from isoclient.compat.python_logging import keep_at_exit
from isoclient.server.journal import Journal
from isoclient.system.modules import os
from isoclient.transit.records import Likeness, likeness, pack_record
from isoclient.wire.journal import LOG

__all__ = ["capture_logs"]

_OURS: Final = f'"{os.path.dirname(os.path.abspath(__file__))}{os.sep}'

Inherited = frozenset[tuple[int, int]]


def capture_logs(journal: Journal, *, inherited: tuple[Inherited, list[Any]] | None, handled: bool) -> None:
    """From now on, log records go into the journal.

    Args:
        journal: where they go.
        inherited: in a fork of the test's process, which handlers it has inherited at which loggers, and references to
            those at none; None elsewhere.
        handled: whether the test's process has handlers at its root logger. They are then seen here too, by one that
            does nothing: so ``logging.basicConfig()`` leaves alone what is configured already, as it would there.
    """
    strangers: Inherited = frozenset()
    if inherited is not None:
        strangers, others = inherited
        # Of the handlers that are flushed and closed at the end of this process, only these are left.
        keep_at_exit(others)
    elif handled:
        stand_in = logging.NullHandler()
        logging.root.addHandler(stand_in)
        strangers = frozenset({(id(logging.root), id(stand_in))})

    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.stack_info:
            record.stack_info = _stack_of_app(record.stack_info)
        last, ran = _call_own_handlers(logger, record, strangers)
        journal.write(LOG, pack_record(record, last.name, ran))

    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign, assignment]


def _stack_of_app(stack: str) -> str:
    """Without our frames, and without those below them, which in a fork are of the whole test run."""
    title, *entries = stack.split("\n  File ")
    ours = [number for number, entry in enumerate(entries) if entry.startswith(_OURS)]
    return "\n  File ".join([title, *entries[ours[-1] + 1 :]]) if ours else stack


def _call_own_handlers(
    logger: logging.Logger, record: logging.LogRecord, strangers: Inherited
) -> tuple[logging.Logger, list[Likeness]]:
    """Call the app's own handlers; return the logger where propagation ends, and which handlers have had the record."""
    ran: list[Likeness] = []
    current = logger
    while True:
        for handler in current.handlers:
            if (id(current), id(handler)) not in strangers:
                ran.append(likeness(current, handler))
                if record.levelno >= handler.level:
                    handler.handle(record)
        if not current.propagate or current.parent is None:
            return current, ran
        current = current.parent
