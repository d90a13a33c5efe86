"""The death matrix, as data: ways to die, moments to die at, and what the test has to be told in each cell.

``test_death_matrix.py`` runs a sample of it, ``matrix.py`` all of it.
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
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from isoclient import AppCrashed, AppStartupError, AppTimeout, Limits, TestClient
from isoclient.process.app_process import AppProcess
from isoclient.process.handle import PATIENCE
from tests.processes import wait_gone
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
    "SystemExit": Mode(_raise_system_exit, Ending("crashed", 3, SystemExit, "exited with code 3")),
    "KeyboardInterrupt": Mode(_raise_keyboard_interrupt, Ending("crashed", 130, KeyboardInterrupt)),
    "group": Mode(_raise_group, Ending("raised", error=ExceptionGroup, text="several")),
    "_exit(0)": Mode(lambda: os._exit(0), Ending("crashed", 0, text="exited with code 0")),
    "_exit(7)": Mode(lambda: os._exit(7), Ending("crashed", 7, text="exited with code 7")),
    "SIGKILL": Mode(_kill, Ending("crashed", -signal.SIGKILL, text="died of SIGKILL")),
    "SIGTERM": Mode(_terminate, Ending("crashed", -signal.SIGTERM, text="died of SIGTERM")),
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


_PATIENT: Final = 30.0
_SOON: Final = 5.0  # to leave in order, after sys.exit()
_DEADLINE: Final = 0.3  # where something hangs


def play(cell: Cell) -> Result:
    """Run a cell."""
    with TemporaryDirectory() as directory:
        return _Play(cell, Path(directory)).run()


class _Play:
    def __init__(self, cell: Cell, directory: Path) -> None:
        self.cell = cell
        self.marker = directory / "marker"
        deadline = _DEADLINE if cell.hangs and cell.moment in ("import", "startup", "shutdown") else _PATIENT
        app: object = Victim(cell.mode, cell.moment, str(self.marker))
        if cell.moment == "import":
            app = _module_that_dies(cell.mode)
        self.client = TestClient(
            app, isolated=True, start_method=cell.method, timeout=deadline, limits=MODES[cell.mode].limits
        )
        self.deadline = deadline
        self.pid = 0

    def run(self) -> Result:
        with warnings.catch_warnings(record=True) as told, patch.object(AppProcess, "start_time", self._start):
            warnings.simplefilter("always")
            try:
                error, seconds = self._act()
                wrong = self._check(error, [str(warning.message) for warning in told])
                if not wrong and not self._is_ending:
                    wrong = self._go_on()
            finally:
                self.client.close()
        return Result(self.cell, wrong, seconds - self._given)

    @property
    def _start(self) -> float:
        """How long its start may take."""
        return START[self.cell.method] if self.cell.hangs and self.cell.moment == "import" else _PATIENT

    @property
    def _given(self) -> float:
        """The seconds that a hang was given."""
        if not self.cell.hangs:
            return 0.0
        if self.cell.moment == "exit":
            return AppProcess.grace
        return self._start if self.cell.moment == "import" else self.deadline

    @property
    def _is_ending(self) -> bool:
        return self.cell.moment in ("import", "startup", "shutdown", "exit")

    def _act(self) -> tuple[BaseException | None, float]:
        if self.cell.starts:
            return _timed(lambda: self.client.__enter__())
        self.client.__enter__()
        self.client.get("/alive")
        self.pid = self.client.pid
        if self.cell.hangs and not self._is_ending:
            self.deadline = self.client.timeout = _DEADLINE
        return _timed(getattr(self, "_at_" + self.cell.moment.replace(" ", "_")))

    def _request(self, **options: Any) -> None:
        self.client.post("/", timeout=self.deadline, **options)

    def _at_idle(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)
        self._await_marker()
        self._await_death()
        self._request()

    def _at_request_body(self) -> None:
        self._request(data=iter([bytes(64 * 1024)] * 50))

    def _at_before_response(self) -> None:
        self._request()

    def _at_start_and_body(self) -> None:
        self._request()

    def _at_background(self) -> None:
        self._request()

    def _at_after_answer(self) -> None:
        self._request()
        self._await_marker()
        self._await_death()
        self._request_again()

    def _at_output_copied(self) -> None:
        with patch.object(sys, "stdout", _Watched(self._have_it_die)):
            self._request()
        self._request_again()

    def _have_it_die(self) -> None:
        if not self.marker.exists():
            os.kill(self.pid, signal.SIGUSR1)
            self._await_marker()
            self._await_death()

    def _request_again(self) -> None:
        self.client.post("/alive", timeout=self.deadline)

    def _at_large_message(self) -> None:
        with self.client.websocket_connect("/") as websocket:
            self._await_marker()
            self._await_death()
            message = websocket.receive_bytes()
            # It is there whole, or not at all.
            if len(message) != 4 << 20:
                raise AssertionError(f"a message of {len(message)} bytes was delivered")
            if self.cell.mode != "fork":
                websocket.receive()

    def _at_WebSocket_idle(self) -> None:  # it is the name of the moment
        with self.client.websocket_connect("/") as websocket:
            websocket.send_text("die")
            websocket.receive_text()

    def _at_call(self) -> None:
        self.client.call(die_awaiting, self.cell.mode)

    def _at_shutdown(self) -> None:
        self.client.close()

    def _at_exit(self) -> None:
        self.client.close()

    def _await_marker(self) -> None:
        end = time.monotonic() + _PATIENT
        while not self.marker.exists():
            if time.monotonic() > end:
                raise AssertionError("it did not come to its moment")
            time.sleep(0.001)

    def _await_death(self) -> None:
        """Where it dies, go on when it has."""
        expected = self.cell.ending
        if isinstance(expected, Ending) and expected.kind == "crashed" and expected.error is None:
            wait_gone(self.pid, _PATIENT)

    def _check(self, error: BaseException | None, told: list[str]) -> str:
        expected = self.cell.ending
        assert isinstance(expected, Ending)
        wrong = _differs(expected, error, told)
        if not wrong and expected.kind == "crashed" and self.pid and not wait_gone(self.pid, _SOON):
            wrong = "the process is still there"
        return f"{wrong}\n{_described(error)}" if wrong else ""

    def _go_on(self) -> str:
        """The next use finds a running app."""
        self.client.timeout = _PATIENT
        response = self.client.get("/alive", timeout=_PATIENT)
        return "" if response.status_code == 204 else f"the next request got {response.status_code}"


class _Watched(StringIO):
    """A standard output that calls something back when it is written to."""

    def __init__(self, callback: Callable[[], object]) -> None:
        super().__init__()
        self._callback = callback

    def write(self, text: str) -> int:
        self._callback()
        return super().write(text)


def _timed(action: Callable[[], object]) -> tuple[BaseException | None, float]:
    began = time.perf_counter()
    caught: BaseException | None = None
    try:
        action()
    except BaseException as error:
        caught = error
    return caught, time.perf_counter() - began


_KINDS: Final[dict[str, type[BaseException] | tuple[type[BaseException], ...]]] = {
    "limit": (AppCrashed, AppStartupError),
    "crashed": AppCrashed,
    "timeout": AppTimeout,
    "startup": AppStartupError,
}


def _differs(expected: Ending, error: BaseException | None, told: list[str]) -> str:
    """What is not as expected, in words."""
    if expected.kind in ("fine", "forced"):
        if error is not None:
            return f"expected no error, got {type(error).__name__}"
        wanted = expected.kind == "forced"
        if wanted != bool(told):
            return f"expected {'a' if wanted else 'no'} warning, got {told}"
        return "" if expected.text in "".join(told) else f"expected {expected.text!r} in {told}"
    kind = _KINDS.get(expected.kind) or expected.error
    assert kind is not None
    if not isinstance(error, kind):
        return f"expected {kind}"
    if expected.kind == "crashed" and isinstance(error, AppCrashed) and error.exitcode != expected.exitcode:
        return f"expected exit code {expected.exitcode}, got {error.exitcode}"
    raised = error if expected.kind == "raised" else error.__cause__
    if expected.error is not None and not isinstance(raised, expected.error):
        return f"expected {expected.error.__name__} as its cause, got {error.__cause__!r}"
    if expected.text not in str(error):
        return f"expected {expected.text!r} in its text"
    return f"it came with warnings: {told}" if told else ""


def _described(error: BaseException | None) -> str:
    return f"got {type(error).__name__}: {error}" if error is not None else "got no error"


@cache
def _modules() -> TemporaryDirectory[str]:
    """Where the modules are that die when they are imported; it lasts as long as this process."""
    directory = TemporaryDirectory()
    sys.path.append(directory.name)
    return directory


def _module_that_dies(mode: str) -> str:
    name = f"dies_{list(MODES).index(mode)}"
    file = Path(_modules().name) / f"{name}.py"
    if not file.exists():
        file.write_text(
            f"from tests.reliability.death import Victim, die\ndie({mode!r})\napp = Victim({mode!r}, 'import', '')\n"
        )
    return f"{name}:app"
