"""The errors that a test sees, as somebody who knows :mod:`requests` expects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from isoclient.system.modules import signal as signals

if TYPE_CHECKING:
    from isoclient.process.handle import ProcessStatus
    from isoclient.server.limits import Limits

__all__ = ["AppCrashed", "AppStartupError", "AppTimeout", "ending"]


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
    ) -> None:
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
        cls, death: ProcessStatus, *, doing: str, request: Any = None, limits: Limits | None = None, after: bool = False
    ) -> AppCrashed:
        """The error for a death, while the app did something or after that."""
        error = cls(
            doing=doing,
            pid=death.pid,
            exitcode=death.exitcode,
            stderr=death.stderr,
            stack=death.stack,
            request=request,
            limit=death.limit,
            limits=limits,
            why=death.why,
            after=after,
        )
        error.__cause__ = death.cause
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
        return f"asked to exit with code {self.exitcode}" if self._lives else ending(self.exitcode)


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
        tasks: where each task of the event loop is suspended (str), where the loop still answers.
        request: what was in flight: a :class:`requests.PreparedRequest`, or None.
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    def __init__(
        self, text: str, *, seconds: float | None, stack: str = "", tasks: str = "", request: Any = None
    ) -> None:
        self.seconds = seconds
        self.stack = stack
        self.tasks = tasks
        if tasks:
            text += f"\n\nIts tasks:\n{tasks.rstrip()}"
        if stack:
            text += f"\n\nIts stack:\n{stack.rstrip()}"
        super().__init__(text, request=request)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, {**self.__dict__, "request": None})


class AppStartupError(requests.ConnectionError):
    """The app could not be loaded, its lifespan startup failed, or its process was not ready in time.

    Or the system would not give what it takes: a process, a thread, memory, descriptors.

    ``__cause__`` is the app's exception, or the system's, where there is one.
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows
