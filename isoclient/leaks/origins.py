"""Which line of code something comes from, and which call of the app: noted as it is made."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Hashable
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Final, NamedTuple

from isoclient.system.modules import os, threading
from isoclient.transit.libraries import whose

__all__ = ["ISOCLIENT", "OUTSIDE", "Origin", "Origins", "place"]

_ROOM: Final = os.path.dirname(__file__)
# What is between the code that does something and what is noted of it.
_BETWEEN: Final = (_ROOM + os.sep, os.path.join(os.path.dirname(_ROOM), "compat") + os.sep)
_MOST: Final = 10_000
OUTSIDE: Final = 0
"""The number of the call of the app in which nothing happens but what is outside of all calls."""


class Origin(NamedTuple):
    """Where something comes from.

    Attributes:
        file: the path of the file; empty if it is not known.
        line: the number of the line.
        call: the number of the call of the app that did it; None if that is not known.
    """

    file: str
    line: int
    call: int | None = None

    @property
    def where(self) -> str:
        """As ``file:line``; empty if it is not known."""
        return f"{self.file}:{self.line}" if self.file else ""


ISOCLIENT: Final = Origin("", 0, -1)
"""That of what this package does itself, such as what it puts into force for the test."""


def place(code: CodeType) -> Origin:
    """Where a function is defined."""
    return Origin(code.co_filename, code.co_firstlineno)


class Origins:
    """What has been noted.

    Attributes:
        call: the number of the call of the app in whose context something happens.
    """

    def __init__(self) -> None:
        self.call: ContextVar[int] = ContextVar("isoclient_call", default=OUTSIDE)
        self._by_key: dict[tuple[str, Hashable], Origin] = {}
        self._by_object: weakref.WeakKeyDictionary[object, Origin] = weakref.WeakKeyDictionary()
        self._main = threading.get_ident()

    # -- noting

    def note(self, kind: str, key: Hashable) -> None:
        """What is known by this is made, or changed, by who calls this."""
        if len(self._by_key) >= _MOST:
            self._by_key.pop(next(iter(self._by_key)), None)
        self._by_key[kind, key] = self.here()

    def forget(self, kind: str, key: Hashable) -> None:
        """It is put back."""
        self._by_key.pop((kind, key), None)

    def note_object(self, thing: object) -> None:
        """The same of an object, which is not kept by that."""
        self._by_object[thing] = self.here()

    # -- asking

    def of(self, kind: str, key: Hashable) -> Origin | None:
        """Where it comes from; None if nothing has been noted."""
        return self._by_key.get((kind, key))

    def of_object(self, thing: object) -> Origin | None:
        """The same of an object."""
        try:
            return self._by_object.get(thing)
        except TypeError:  # it has no hash, or takes no weak reference
            return None

    def objects(self, kind: type) -> list[object]:
        """Those of this class of which something has been noted, and which are there still."""
        things = [reference() for reference in self._by_object.keyrefs()]  # in one go: other threads make some
        return [thing for thing in things if thing is not None and isinstance(thing, kind)]

    def keys(self, kind: str) -> list[Hashable]:
        """All that something has been noted of, of this kind, the first first."""
        return [key for of, key in list(self._by_key) if of == kind]

    # -- the line

    def here(self) -> Origin:
        """The line that is being run.

        That is the innermost one which is neither Python's nor ours. Where it is of an installed package, it is the
        line of somebody's own code that has called that; but not the middleware that all of the app runs in.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(_BETWEEN):
            frame = frame.f_back
        installed = None
        while frame is not None:
            side = whose(frame.f_code.co_filename)
            if side == "own" and (installed is None or not _passes_on(frame.f_code)):
                return self._at(frame)
            if side == "isoclient":
                return self._at(installed) if installed is not None else self._of_task()
            if side == "installed" and installed is None:
                installed = frame
            frame = frame.f_back
        return self._at(installed) if installed is not None else Origin("", 0, self._present_call())

    def _at(self, frame: FrameType) -> Origin:
        return Origin(frame.f_code.co_filename, frame.f_lineno, self._present_call())

    def _present_call(self) -> int | None:
        """A thread that the app has made has no context of a call, but the call that has started it."""
        number = self.call.get()
        if number == OUTSIDE and threading.get_ident() != self._main:
            origin = self.of_object(threading.current_thread())
            return origin.call if origin is not None else None
        return number

    def _of_task(self) -> Origin:
        """There is nothing but Python's own code and ours: ours has done it, if not a task of the app runs Python's."""
        asyncio = sys.modules.get("asyncio")
        try:
            task = asyncio.current_task() if asyncio is not None else None
        except RuntimeError:  # no loop runs in this thread
            task = None
        origin = self.of_object(task) if task is not None else None
        return ISOCLIENT if origin is None else origin


def _passes_on(code: CodeType) -> bool:
    """Whether it is an app, as middleware is one, which has all of the app within its call of the next one."""
    return {"receive", "send"} <= set(code.co_varnames[: code.co_argcount])
