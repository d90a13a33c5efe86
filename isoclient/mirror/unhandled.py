"""Exceptions of the app that nobody handles: of threads, and those that can't be raised, as in ``__del__``.

They come to the hooks of the test's process: pytest has some, to warn of them at the end of the test. A fork has
inherited those, but what they collect there nobody reads.
"""

from __future__ import annotations

import marshal
import sys
import threading
import traceback
from types import SimpleNamespace
from typing import Any

from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.transit.codecs import PipeCodec
from isoclient.transit.exceptions import unpack_exception

__all__ = ["Unhandled", "pack_unhandled", "unpack_unhandled"]


class Unhandled(Mirrored):
    """Such exceptions, until the app sets hooks of its own."""

    # -- in the test's process

    def first(self, *, fresh: bool) -> tuple[bool, bool]:
        """Whether this process has a hook for those of threads, and for the others; else they are printed, as ever."""
        has_hook_of_threads = threading.excepthook is not threading.__excepthook__
        return has_hook_of_threads, sys.unraisablehook is not sys.__unraisablehook__

    def replay(self, payload: bytes) -> None:
        """Call the hook for it."""
        error, about, thing = unpack_unhandled(payload)
        if thing is None:
            thread = threading.Thread(name=about) if about is not None else None
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
        else:
            _call_unraisable_hook(error, about, thing)

    # -- in the app's process

    def begin(self, first: tuple[bool, bool], reporter: Reporter) -> None:
        """From now on, such exceptions are told."""
        of_threads, unraisable = first

        def tell_of_thread(args: threading.ExceptHookArgs) -> None:
            error = args.exc_value
            if error is not None and not isinstance(error, SystemExit):
                name = args.thread.name if args.thread is not None else None
                reporter.tell(pack_unhandled(error, name, None, reporter.codec))

        def tell_unraisable(args: sys.UnraisableHookArgs) -> None:
            if args.exc_value is not None:
                reporter.tell(pack_unhandled(args.exc_value, args.err_msg, _described(args.object), reporter.codec))

        threading.excepthook = tell_of_thread if of_threads else threading.__excepthook__
        sys.unraisablehook = tell_unraisable if unraisable else sys.__unraisablehook__


def _call_unraisable_hook(error: BaseException, message: str | None, thing: str) -> None:
    hook: Any = sys.unraisablehook
    if hook is sys.__unraisablehook__:  # which takes nothing but what the interpreter makes
        print(f"{message or 'Exception ignored in'}: {thing}", file=sys.stderr)
        traceback.print_exception(error)
        return
    hook(
        SimpleNamespace(
            exc_type=type(error),
            exc_value=error,
            exc_traceback=error.__traceback__,
            err_msg=message,
            object=_Described(thing),
        )
    )


class _Described:
    """Stands for an object of the app."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _described(thing: object) -> str:
    try:
        return repr(thing)
    except Exception:
        return object.__repr__(thing)


def pack_unhandled(error: BaseException, about: str | None, thing: str | None, codec: PipeCodec) -> bytes:
    """Such an exception as bytes. Never raises.

    Args:
        error: the exception.
        about: the name of the thread; or a text on what was going on, if there is one.
        thing: where it could not be raised, the text of the object that it comes from; None if it has ended a thread.
        codec: how it crosses.
    """
    return marshal.dumps((codec.pack_exception(error, alone=True), about, thing))


def unpack_unhandled(data: bytes) -> tuple[BaseException, str | None, str | None]:
    """What :func:`pack_unhandled` packed.

    Example:
        >>> unpack_unhandled(pack_unhandled(KeyError("pear"), "Thread-1", None, PipeCodec()))
        (KeyError('pear'), 'Thread-1', None)
    """
    packed, about, thing = marshal.loads(data)
    return unpack_exception(packed), about, thing
