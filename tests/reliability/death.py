"""The death matrix, as data: ways to die, moments to die at, and what the test has to be told in each cell.

``playing.py`` plays a cell, ``test_death_matrix.py`` a sample of them, ``matrix.py`` all.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from isoclient import Limits
from isoclient.process.handle import PATIENCE
from tests.reliability.plain_apps import LONG, Receive, Scope, Send, hold_the_gil

METHODS: Final = ("fork", "forkserver", "spawn")
# Seconds that the start of a process may take, under load, where that is part of a cell, or what hangs.
START: Final = {"fork": 3.0, "forkserver": 10.0, "spawn": 10.0}


# -- ways to die


class CannotBePickled(ValueError):
    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("no pickling of this one")


class CannotBeLoaded(ValueError):
    """It leaves well, but fails to arrive."""

    def __init__(self, text: str, *, made_by: int) -> None:
        super().__init__(text)
        self.made_by = made_by

    def __setstate__(self, state: object) -> None:
        raise RuntimeError("it can't be loaded")


def _raise_exception() -> None:
    raise ValueError("a plain error")


def _raise_what_cannot_be_pickled() -> None:
    raise CannotBePickled("an error that can't be pickled")


def _raise_what_cannot_be_loaded() -> None:
    raise CannotBeLoaded("an error that can't be loaded", made_by=os.getpid())


def _raise_system_exit() -> None:
    sys.exit(3)


def _raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def _raise_group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _fault() -> None:
    faulthandler._sigsegv()  # type: ignore[attr-defined]  # it is there for this


def _overflow_the_c_stack() -> None:
    """glibc compiles a regular expression by recursion, without a limit."""
    space = ctypes.create_string_buffer(4096)
    ctypes.CDLL(None).regcomp(space, b"(" * 1_000_000, 1)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _sleep_for_ever() -> None:
    time.sleep(LONG)


def _close_all() -> None:
    os.closerange(0, 1 << 16)


def _fork() -> None:
    """Both go on in the app, and from there into our code."""
    os.fork()


def _print_without_end() -> None:
    while True:
        print("and so on" * 10)


def _log_without_end() -> None:
    while True:
        logging.getLogger(__name__).warning("and so on")


def _hoard(size: int) -> None:
    """Take memory in pieces; what goes wrong by that frees it again."""
    kept: object = None
    while True:
        kept = kept, bytes(size)


_SIZES: Final = (100, 10_000, 1_000_000, 100_000_000)
_MEMORY: Final = Limits(memory=48 << 20)


async def await_for_ever() -> None:
    await asyncio.sleep(LONG)


# -- what the test is told


class Ending(NamedTuple):
    """What has to come of a cell.

    Args:
        kind: ``"fine"`` (nothing, all goes on), ``"raised"`` (the app's own exception), ``"crashed"``, ``"timeout"``,
            ``"startup"`` (an AppStartupError), ``"forced"`` (an end by force, with a warning), ``"limit"`` (an
            AppCrashed or AppStartupError, whatever the exit code).
        exitcode: of the process, for a crash.
        error: the app's exception: what is raised, or the cause of what is raised.
        text: what can be read in the error.
    """

    kind: str
    exitcode: int | None = None
    error: type[BaseException] | None = None
    text: str = ""


class Senseless(NamedTuple):
    """No ending: why the cell makes no sense."""

    reason: str


class Mode(NamedTuple):
    """A way to die, and what comes of it where nothing else is said."""

    act: Callable[[], object]
    ending: Ending
    hangs: bool = False
    limits: Limits | None = None


FINE: Final = Ending("fine")

MODES: Final[dict[str, Mode]] = {
    "exception": Mode(_raise_exception, Ending("raised", error=ValueError, text="a plain error")),
    "unpicklable": Mode(_raise_what_cannot_be_pickled, Ending("raised", error=ValueError, text="can't be pickled")),
    "unloadable": Mode(_raise_what_cannot_be_loaded, Ending("raised", error=ValueError, text="can't be loaded")),
    "SystemExit": Mode(_raise_system_exit, Ending("crashed", 3, SystemExit, "called sys.exit(3) at ")),
    "KeyboardInterrupt": Mode(_raise_keyboard_interrupt, Ending("crashed", 130, KeyboardInterrupt)),
    "group": Mode(_raise_group, Ending("raised", error=ExceptionGroup, text="several")),
    "_exit(0)": Mode(lambda: os._exit(0), Ending("crashed", 0, text="called os._exit(0) at ")),
    "_exit(7)": Mode(lambda: os._exit(7), Ending("crashed", 7, text="called os._exit(7) at ")),
    "SIGKILL": Mode(_kill, Ending("crashed", -signal.SIGKILL, text="signal.SIGKILL) at ")),
    "SIGTERM": Mode(_terminate, Ending("crashed", -signal.SIGTERM, text="signal.SIGTERM) at ")),
    "SIGSEGV": Mode(_fault, Ending("crashed", -signal.SIGSEGV, text="in die")),
    "abort": Mode(os.abort, Ending("crashed", -signal.SIGABRT, text="in die")),
    "overflow": Mode(_overflow_the_c_stack, Ending("crashed", -signal.SIGSEGV, text="in _overflow_the_c_stack")),
    "SIGSTOP": Mode(_stop, Ending("timeout", text="is stopped"), hangs=True),
    "await": Mode(await_for_ever, Ending("timeout", text="in await_for_ever"), hangs=True),
    "sleep": Mode(_sleep_for_ever, Ending("timeout", text="in _sleep_for_ever"), hangs=True),
    "GIL": Mode(hold_the_gil, Ending("timeout", text="in hold_the_gil"), hangs=True),
    "print": Mode(_print_without_end, Ending("timeout", text="in _print_without_end"), hangs=True),
    "log": Mode(_log_without_end, Ending("timeout", text="in _log_without_end"), hangs=True),
    **{
        f"{size} bytes": Mode(
            partial(_hoard, size), Ending("limit", text="its limit of 48 MiB of memory"), False, _MEMORY
        )
        for size in _SIZES
    },
    "close all": Mode(_close_all, Ending("crashed", 1)),
    "fork": Mode(_fork, FINE),
}

MOMENTS: Final = (
    "import",
    "startup",
    "idle",
    "request body",
    "before response",
    "start and body",
    "large message",
    "WebSocket idle",
    "background",
    "after answer",
    "output copied",
    "call",
    "shutdown",
    "exit",
)

_NO_COROUTINE: Final = Senseless("nothing can be awaited there")


def ending(mode: str, moment: str) -> Ending | Senseless:
    """What has to come of a mode at a moment."""
    special = _SPECIAL.get((mode, moment))
    if special is not None:
        return special
    usual = MODES[mode].ending
    if moment == "import":
        return _at_import(usual)
    if moment == "exit" and usual.kind == "timeout":
        return Ending("forced", text=usual.text)
    return usual


def _at_import(usual: Ending) -> Ending:
    if usual.kind == "timeout":
        return Ending("startup", text=usual.text)
    if usual.error is not None:
        return Ending("startup", error=usual.error)
    return usual


_LOGGED: Final = FINE  # by the event loop, which goes on
_LOGGED_OR_NOT: Final = Senseless("the event loop or the interpreter may log it and go on, or lack the memory to")
_PRINTED: Final = FINE  # by the interpreter, which goes on to end with code 0

_SPECIAL: Final[dict[tuple[str, str], Ending | Senseless]] = {
    ("await", "import"): _NO_COROUTINE,
    ("await", "exit"): _NO_COROUTINE,
    ("await", "idle"): Senseless("an idle app is awaiting for ever"),
    ("exception", "idle"): _LOGGED,
    ("unpicklable", "idle"): _LOGGED,
    ("unloadable", "idle"): _LOGGED,
    ("group", "idle"): _LOGGED,
    # Nobody's call has raised it: the event loop has.
    ("SystemExit", "idle"): Ending("crashed", 3),
    ("KeyboardInterrupt", "idle"): Ending("crashed", 130),
    ("exception", "exit"): _PRINTED,
    ("unpicklable", "exit"): _PRINTED,
    ("unloadable", "exit"): _PRINTED,
    ("group", "exit"): _PRINTED,
    ("SystemExit", "exit"): _PRINTED,
    ("KeyboardInterrupt", "exit"): _PRINTED,
    **{(f"{size} bytes", moment): _LOGGED_OR_NOT for size in _SIZES for moment in ("idle", "exit")},
    ("_exit(0)", "exit"): FINE,
    ("close all", "exit"): FINE,
}
# Right after the last answer, and while the test copies what has been printed, nobody's call is under way either.
for _moment in ("after answer", "output copied"):
    _SPECIAL.update({(mode, _moment): special for (mode, moment), special in _SPECIAL.items() if moment == "idle"})


# -- the app


def die(mode: str) -> None:
    """Die in a mode that needs no event loop."""
    MODES[mode].act()


async def die_awaiting(mode: str) -> None:
    """Die in any mode."""
    if mode == "await":
        await await_for_ever()
    else:
        die(mode)
        if mode in ("SIGTERM", "close all"):
            await asyncio.sleep(LONG)  # it is the loop that meets its end


@dataclass(frozen=True)
class Victim:
    """An app that dies at its moment. ``/alive`` it always answers.

    Args:
        mode: how.
        moment: when.
        marker: a file that it makes right before.
    """

    mode: str
    moment: str
    marker: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._talk(receive, send)
        elif scope["path"] == "/alive":
            await _answer(send)
        else:
            await self._handle(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        if self.moment == "startup":
            await die_awaiting(self.mode)
        elif self.moment in ("idle", "output copied"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._die_marked)
        elif self.moment == "exit":
            atexit.register(die, self.mode)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.moment == "shutdown":
            await die_awaiting(self.mode)
        await send({"type": "lifespan.shutdown.complete"})

    def _die_marked(self) -> None:
        Path(self.marker).touch()
        die(self.mode)

    async def _handle(self, receive: Receive, send: Send) -> None:
        if self.moment == "request body":
            await receive()
            await die_awaiting(self.mode)
            while (await receive()).get("more_body"):
                pass
        elif self.moment == "before response":
            await die_awaiting(self.mode)
        elif self.moment == "start and body":
            await send({"type": "http.response.start", "status": 204})
            await die_awaiting(self.mode)
            await send({"type": "http.response.body"})
            return
        if self.moment == "output copied":
            print("something to copy", flush=True)
        await _answer(send)
        if self.moment == "background":
            await die_awaiting(self.mode)
        elif self.moment == "after answer":
            asyncio.get_running_loop().call_soon(self._die_marked)  # once the answer has gone out

    async def _talk(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if self.moment == "large message":
            # The test does not read yet, so that the message fills the pipe and is cut.
            sending = asyncio.ensure_future(send({"type": "websocket.send", "bytes": bytes(4 << 20)}))
            await asyncio.sleep(0)
            Path(self.marker).touch()
            await die_awaiting(self.mode)
            await sending
        else:
            await receive()
            await die_awaiting(self.mode)
            await send({"type": "websocket.send", "text": "alive"})
        await receive()


async def _answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


# -- the test


class Cell(NamedTuple):
    """One cell of the matrix."""

    mode: str
    moment: str
    method: str

    @property
    def ending(self) -> Ending | Senseless:
        """What has to come of it."""
        return ending(self.mode, self.moment)

    @property
    def hangs(self) -> bool:
        """Whether nothing but a deadline ends it."""
        return MODES[self.mode].hangs

    @property
    def starts(self) -> bool:
        """Whether the start of the process is part of it."""
        return self.moment in ("import", "startup")

    @property
    def bound(self) -> float:
        """How many seconds it may take, beyond the deadline where it hangs."""
        usual = 0.5 if self.hangs else 1.0
        if self.mode in ("print", "log"):
            usual += 2 * PATIENCE  # at the deadline, and at the end
        if MODES[self.mode].limits is not None:
            usual += 2.0  # to take it, and to be looked at if nothing is told
        return usual + (START[self.method] if self.starts else 0.0)


class Result(NamedTuple):
    """What came of a cell.

    Args:
        cell: the cell.
        wrong: what was not as it had to be, in words; empty if nothing.
        seconds: from the beginning of what failed to the error; for a hang, beyond the deadline.
    """

    cell: Cell
    wrong: str
    seconds: float


def cells() -> Iterator[Cell]:
    """Those that make sense."""
    for mode in MODES:
        for moment in MOMENTS:
            if isinstance(ending(mode, moment), Ending):
                yield from (Cell(mode, moment, method) for method in METHODS)


def senseless() -> Iterator[tuple[str, str, str]]:
    """Those that do not, with the reason."""
    for mode in MODES:
        for moment in MOMENTS:
            found = ending(mode, moment)
            if isinstance(found, Senseless):
                yield mode, moment, found.reason
