"""Runs of pytest within tests, each a fork of an interpreter that has imported what all of them need.

Such a run has its own process, session, environment, directory and streams. What is imported already is pytest, what
isoclient needs, and what the small suites use: that takes longer than most of them. Of isoclient itself nothing is. The
end is that of any interpreter until its threads have ended and its exit handlers have run; what is imported is not
taken apart, which took a third of such a run. A test of that, or of what a run imports, has an interpreter of its own.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import termios
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, NamedTuple, NoReturn

__all__ = ["Done", "Prepared"]

_NEEDED: Final = (
    "anyio._backends._asyncio",
    "asyncio",
    "dill",
    "multiprocess.popen_fork",
    "requests",
    "tblib.pickling_support",
)
_OF_SUITES: Final = ("fastapi", "httpx", "starlette.testclient")
# What pytest imports as it begins, and where a test fails.
_OF_PYTEST: Final = (
    "pytest",
    "_pytest.junitxml",
    "_pytest.skipping",
    "doctest",
    "pdb",
    "unittest",
    "pygments.formatters.terminal",
    "pygments.lexers.python",
)
# What an interpreter heeds as it starts. Each run heeds the first one anew; the other is for those who look on.
_OF_A_RUN: Final = ("PYTHONPATH", "PYTHONUNBUFFERED")
_exit: Final = os._exit  # which a run may patch
_LARGEST: Final = 1 << 20  # of a message
_PATIENCE: Final = 60.0  # seconds for what takes none: a fork, and an end


class Done(NamedTuple):
    """How a run ended: its exit code, or the negative number of a signal, and what it has printed."""

    code: int
    out: str
    err: str


class Prepared:
    """That interpreter."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env={name: value for name, value in os.environ.items() if name not in _OF_A_RUN},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._line.settimeout(_PATIENCE)
        self._line.recv(_LARGEST)  # from here on, its command line is its own: by that it is known in an inventory

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout: float,
        together: bool = False,
    ) -> Done:
        """What ``python -m pytest`` does with these arguments.

        Args:
            arguments: those of pytest.
            cwd: where it runs.
            env: all of its environment.
            timeout: after so many seconds it is killed, and the test fails.
            together: whether both streams are one, its standard output.
        """
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err, Path(os.devnull).open() as nothing:
            streams = [nothing.fileno(), out.fileno(), (out if together else err).fileno()]
            code = self.await_end(self.begin(arguments, cwd=cwd, env=env, streams=streams), timeout)
            out.seek(0)
            err.seek(0)
            return Done(code, out.read(), err.read())

    def begin(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], streams: Sequence[int]) -> int:
        """Begin such a run, with these three standard streams; return its pid. The next one may begin at its end.

        A terminal as its standard input is its controlling terminal.
        """
        self._line.settimeout(_PATIENCE)
        socket.send_fds(self._line, [json.dumps([list(arguments), str(cwd), dict(env)]).encode()], streams)
        return int(self._line.recv(_LARGEST))

    def await_end(self, pid: int, timeout: float) -> int:
        """The exit code of that run, or the negative number of a signal; after so many seconds it is killed."""
        self._line.settimeout(timeout)
        try:
            return int(self._line.recv(_LARGEST))
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._line.settimeout(_PATIENCE)
            self._line.recv(_LARGEST)  # which says that it has ended
            raise

    def close(self) -> None:
        self._line.shutdown(socket.SHUT_RDWR)  # a fork of this process may have it, too
        self._line.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


# -- within that interpreter


def _serve(line: socket.socket) -> None:
    """Fork for each run; return in the fork, when it is as an interpreter that has just been started for it."""
    installed = sys.path[1:]
    line.send(b"ready")
    while True:
        message, descriptors, *_ = socket.recv_fds(line, _LARGEST, 3)
        if not message:
            os._exit(0)
        if (pid := os.fork()) == 0:
            line.close()
            arguments, cwd, env = json.loads(message)
            return _become(arguments, cwd, env, descriptors, installed)
        for descriptor in descriptors:
            os.close(descriptor)
        line.send(str(pid).encode())
        line.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(
    arguments: list[str], cwd: str, env: dict[str, Any], descriptors: Sequence[int], installed: Sequence[str]
) -> None:
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *installed]
    sys.argv[1:] = arguments


def _leave(code: int) -> NoReturn:
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    _exit(code)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*_OF_PYTEST, *_NEEDED, *_OF_SUITES):
            with suppress(ImportError):
                import_module(name)
    gc.collect()
    gc.freeze()  # what is imported is looked through once, here, and not in each run, which would copy it by that
    _serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        _leave(int(end.code or 0))  # pytest's is always a number
