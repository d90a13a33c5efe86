"""How a cell of the death matrix is played: an app dies there, and what the test is told is compared."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

from isoclient import AppCrashed, AppStartupError, AppTimeout, TestClient
from isoclient.process.app_process import AppProcess
from tests.processes import wait_gone
from tests.reliability.death import MODES, START, Cell, Ending, Result, Victim, die_awaiting

__all__ = ["play"]

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
