"""The errors that a test sees, as somebody who knows :mod:`requests` expects them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import requests

from isoclient.process.stacks import spot_of_death, without_idle
from isoclient.system.modules import signal as signals

if TYPE_CHECKING:
    from isoclient.process.handle import ProcessStatus
    from isoclient.server.limits import Limits

__all__ = ["REFUSALS", "AppCrashed", "AppStartupError", "AppTimeout", "ending", "not_started"]


class AppCrashed(requests.ConnectionError):
    """The app's process died, or the app asked for its end (``sys.exit`` in a handler).

    With ``isolated=False`` the latter ends nothing: this is raised all the same, and the app goes on as it is.

    Attributes:
        pid: the process (int).
        exitcode: its exit status, negative for a signal, as in :mod:`subprocess`; None where it is not known.
        signal: the :class:`signal.Signals` that ended it, or None.
        stderr: the tail of what it wrote to its standard error (str).
        stack: the stacks of its threads, from :mod:`faulthandler`, where it died of a signal (str).
        request: what was in flight: a :class:`requests.PreparedRequest`, or None.
        limit: the name of the limit that it hit (``"memory"``, ``"cpu_seconds"``, ``"open_files"``), or None.
        own_end: what the app has called to end so, and where, such as ``"called os._exit(3) at shop.py:12 in pay"``;
            None if it has not ended itself, or by a function that it had imported before it was forked.

    Example:
        >>> import requests
        >>> try:
        ...     raise AppCrashed(doing="handling GET /render", pid=4711, exitcode=-11)
        ... except requests.ConnectionError as error:
        ...     print(error)
        the app died of SIGSEGV while handling GET /render (pid 4711)
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    def __init__(
        self,
        *,
        doing: str,
        pid: int,
        exitcode: int | None,
        stderr: str = "",
        stack: str = "",
        request: Any = None,
        limit: str | None = None,
        limits: Limits | None = None,
        why: str | None = None,
        lives: bool = False,
        after: bool = False,
        own_end: str | None = None,
    ) -> None:
        self.own_end = own_end
        self._why = why
        self._when = "after" if after else "while"
        self._lives = lives
        self.pid = pid
        self.exitcode = exitcode
        self.signal = _signal_of(exitcode)
        self.stderr = stderr
        self.stack = stack
        self._limits = limits
        self.limit = limit or self._limit_of_signal()
        super().__init__(self._text(doing), request=request)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, {**self.__dict__, "request": None})

    @classmethod
    def of(
        cls,
        status: ProcessStatus,
        *,
        doing: str,
        request: Any = None,
        limits: Limits | None = None,
        after: bool = False,
    ) -> AppCrashed:
        """The error for an app that has ended so, while it did something or after that."""
        error = cls(
            doing=doing,
            pid=status.pid,
            exitcode=status.exitcode,
            stderr=status.stderr,
            stack=status.stack,
            request=request,
            limit=status.limit,
            limits=limits,
            why=status.why,
            after=after,
            own_end=status.own_end,
        )
        error.__cause__ = status.cause
        return error

    def _limit_of_signal(self) -> str | None:
        set_by_us = self._limits is not None and self._limits.cpu_seconds is not None
        return "cpu_seconds" if set_by_us and self.signal == getattr(signals, "SIGXCPU", None) else None

    def _text(self, doing: str) -> str:
        note = ", the test's own, in which the app goes on" if self._lives else ""
        text = f"the app {self._end()} {self._when} {doing} (pid {self.pid}{note})"
        if self.stack:
            text += f"\n\nIts stack:\n{self.stack.rstrip()}"
        if self.stderr:
            text += f"\n\nThe end of its stderr:\n{self.stderr.rstrip()}"
        return text

    def _end(self) -> str:
        if self._why is not None:
            return f"was ended, {self._why},"
        if self.limit is not None and self._limits is not None:
            return f"hit {self._limits.describe(self.limit)}"
        if self.own_end is not None:
            return f"{self.own_end},"
        spot = spot_of_death(self.stack) if self.signal is not None else None
        return ending(self.exitcode) + (f" at {spot}," if spot is not None else "")


def ending(exitcode: int | None) -> str:
    """How a process ended, in words.

    Example:
        >>> ending(-9), ending(3)
        ('died of SIGKILL', 'exited with code 3')
    """
    signal = _signal_of(exitcode)
    if signal is not None:
        return f"died of {signal.name}"
    return "ended" if exitcode is None else f"exited with code {exitcode}"


def _rebuilt(
    kind: type[AppCrashed | AppTimeout], args: tuple[Any, ...], state: dict[str, Any]
) -> AppCrashed | AppTimeout:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _signal_of(exitcode: int | None) -> signals.Signals | None:
    if exitcode is None or exitcode >= 0:
        return None
    try:
        return signals.Signals(-exitcode)
    except ValueError:
        return None


class AppTimeout(requests.ReadTimeout):
    """Nothing came from the app within the deadline.

    Attributes:
        seconds: the deadline (float).
        stack: the stacks of the app's threads (str), where they could be had.
        tasks: where each task of the event loop is suspended (str), where the loop still answers. The text has no
            stacks of idle threads then.
        request: what was in flight: a :class:`requests.PreparedRequest`, or None.
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    def __init__(
        self, text: str, *, seconds: float | None, stack: str = "", tasks: str = "", request: Any = None
    ) -> None:
        self.seconds = seconds
        self.stack = stack
        self.tasks = tasks
        shown = without_idle(stack) if tasks else stack
        if tasks:
            text += f"\n\nIts tasks:\n{tasks.rstrip()}"
        if shown:
            text += f"\n\nIts stack:\n{shown.rstrip()}"
        super().__init__(text, request=request)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, {**self.__dict__, "request": None})


class AppStartupError(requests.ConnectionError):
    """The app could not be loaded, its lifespan startup failed, or its process was not ready in time.

    Or the system would not give what it takes: a process, a thread, memory, descriptors.

    ``__cause__`` is the app's exception, or the system's, where there is one.
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


REFUSALS: Final = (OSError, MemoryError, EOFError)
"""What is raised where the system refuses something; EOFError where what was to start it has ended."""
_ADVICE: Final = {
    errno.EAGAIN: "There may be no more processes or threads: see what is left running, `ulimit -u`, and pids.max of "
    "the container.",
    errno.ENOMEM: "There is not enough memory for another process: see what else runs, and the container's limit.",
    errno.EMFILE: "This process has too many files open: close clients that are not used any more, find what else is "
    "left open, or raise `ulimit -n`.",
    errno.ENFILE: "The system has too many files open.",
    errno.ENOENT: "A fresh interpreter is started from `sys.executable`: is that still there?",
    errno.EPERM: "Something forbids it, such as the system call filter of a container.",
    errno.ENOSYS: "Something forbids it, such as the system call filter of a container.",
    errno.ENOSPC: "There is no room left where temporary files go, or for watches and the like.",
}
_TOO_LONG: Final = (
    "The machine may be too busy for what is started at once; or what starts processes for isoclient is stopped."
)
_GONE: Final = (
    "What starts processes for isoclient has ended. There may have been no more processes or memory for it: see what "
    "it said on standard error, `ulimit -u`, and the container's limits."
)


def not_started(error: OSError | MemoryError | EOFError) -> AppStartupError:
    """The error that tells the user so.

    Example:
        >>> print(not_started(OSError(errno.ENFILE, "File table overflow")))
        the app could not be started: [Errno 23] File table overflow. The system has too many files open.
    """
    what = str(error) or type(error).__name__
    told = AppStartupError(f"the app could not be started: {what}. {_advice(error)}".rstrip())
    told.__cause__ = error
    return told


def _advice(error: OSError | MemoryError | EOFError) -> str:
    if isinstance(error, MemoryError):
        return _ADVICE[errno.ENOMEM]
    if isinstance(error, (EOFError, ConnectionError)):
        return _GONE
    return _TOO_LONG if isinstance(error, TimeoutError) else _ADVICE.get(error.errno or 0, "")
