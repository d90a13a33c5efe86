"""Have a process write the stacks of its threads, and know when it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoclient.process.stacks import first_dump
from isoclient.system.modules import time

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoclient.process.output import OutputFile

__all__ = ["ask_for_dump"]

_TO_BEGIN: Final = 0.2  # seconds in which it begins; half of that from when somebody waits for it
_TO_GO_ON: Final = 0.5  # seconds between two of its lines, which is long even on a machine that is busy
_IN_ALL: Final = 2.0
_LOOK: Final = 0.005


def ask_for_dump(ask: Callable[[], object], file: OutputFile) -> Callable[[], str]:
    """Have it write them, and return what waits for them; for a process that can't be asked, that gives what it has.

    Args:
        ask: sends the signal that has faulthandler write them to the file.
        file: to which nothing else is written meanwhile.

    Example:
        >>> stacks = ask_for_dump(lambda: process.signal(DUMP_SIGNAL), process.file)()  # doctest: +SKIP
    """
    # faulthandler writes from the signal handler, even while C code holds the GIL. It does not tell when it has done
    # so; but it takes the second signal, which is queued, only then, and begins with the same line again.
    before, end = file.file.size, time.monotonic() + _TO_BEGIN
    for _ in range(2):
        ask()
    return lambda: _dump_since(file, before, end)


def _dump_since(file: OutputFile, before: int, end: float) -> str:
    last = time.monotonic() + _IN_ALL
    end = max(end, time.monotonic() + _TO_BEGIN / 2)
    seen = ""
    while not (stacks := first_dump(text := file.since(before))):
        now = time.monotonic()
        if text != seen and now < last:
            # It writes in small pieces, and goes on when it gets a processor. Half of its stacks would say that it is
            # somewhere else.
            seen, end = text, max(end, now + _TO_GO_ON)
        elif now >= end:
            break
        time.sleep(_LOOK)
    return stacks or text
