"""Log records of the app, for the handlers of the test's process."""

from __future__ import annotations

import logging

from isoclient.transit.records import Record, likeness, unpack_record

__all__ = ["replay_record"]


def replay_record(data: bytes) -> None:
    """Give a record to the handlers that it would have come to in one process.

    Levels and filters of loggers have done their work in the app's process. So has a handler that the app has a double
    of there, because the same configuration was made in both processes.
    """
    told = unpack_record(data)
    handled = bool(told.ran) | _call_handlers(told)
    last_resort = logging.lastResort
    if not handled and last_resort is not None and told.record.levelno >= last_resort.level:
        last_resort.handle(told.record)


def _call_handlers(told: Record) -> bool:
    """Return whether there were any."""
    record, last, ran = told
    found = False
    current: logging.Logger | None = logging.getLogger(record.name)
    while current is not None:
        for handler in list(current.handlers):
            found = True
            if ran and (double := likeness(current, handler)) in ran:
                ran.remove(double)
            elif record.levelno >= handler.level:
                handler.handle(record)
        if current.name == last:
            break
        current = current.parent
    return found
