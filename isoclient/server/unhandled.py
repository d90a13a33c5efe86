"""Exceptions of the app that nobody handles: of threads, and those that can't be raised, as in ``__del__``.

They go into the journal, and from there to the hooks of the test's process: pytest has some, to warn of them at the end
of the test. A fork has inherited those, but what they collect there nobody reads.
"""

from __future__ import annotations

import sys
import threading

from isoclient.server import relief
from isoclient.server.journal import Journal
from isoclient.transit.records import pack_unhandled
from isoclient.wire.journal import THREAD_EXCEPTION, UNRAISABLE

__all__ = ["capture_unhandled"]


def capture_unhandled(journal: Journal, *, of_threads: bool, unraisable: bool) -> None:
    """From now on, such exceptions go into the journal, until the app sets hooks of its own.

    Args:
        journal: where they go.
        of_threads: whether the test's process has a hook for those; else they are printed, as ever.
        unraisable: the same for those.
    """

    def tell_of_thread(args: threading.ExceptHookArgs) -> None:
        relief.end_here(args.exc_type, args.exc_value)
        if not of_threads:
            threading.__excepthook__(args)
        elif args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            name = args.thread.name if args.thread is not None else None
            journal.write(THREAD_EXCEPTION, pack_unhandled(args.exc_value, name))

    def tell_unraisable(args: sys.UnraisableHookArgs) -> None:
        relief.end_here(args.exc_type, args.exc_value)
        if not unraisable:
            sys.__unraisablehook__(args)
        elif args.exc_value is not None:
            journal.write(UNRAISABLE, pack_unhandled(args.exc_value, args.err_msg, _described(args.object)))

    threading.excepthook = tell_of_thread
    sys.unraisablehook = tell_unraisable


def _described(thing: object) -> str:
    try:
        return repr(thing)
    except Exception:
        return object.__repr__(thing)
