"""Why the system would not start the app, and what to do about it."""

from __future__ import annotations

import errno
from typing import Final

from isoclient.client.request_errors import AppStartupError

__all__ = ["REFUSALS", "not_started"]

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
