"""The standard streams of an app's process, as Python sees them.

Threads and child processes of an app print at the same time. So a line is one write, which nothing comes between: what
has no end of a line yet waits for it, as at a terminal, or until the app has something to say to the test.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from isoclient.compat.python_io import keep_back
from isoclient.system.bounded_files import append_always, keep_newest
from isoclient.system.descriptors import identity
from isoclient.system.modules import io, os

__all__ = ["append_to_output", "flush_output", "open_text", "reopen"]

_OPTIONS: Final[Any] = {"encoding": "utf-8", "errors": "backslashreplace", "line_buffering": True}
_LONGEST: Final = 2**20  # of a line that is one write, in bytes
_WATCHED: Final = 2**20  # bytes that may be written before somebody looks at how much there is
_texts: Final[list[io.TextIOWrapper]] = []


class _AppendedFile(io.FileIO):
    """A descriptor of a file that the test reads, when it comes to that. It may come late."""

    _until_look = _WATCHED

    def write(self, data: Any) -> int | None:  # type: ignore[override]  # None is what it says in typeshed of its base
        """As of :class:`io.FileIO`."""
        written = super().write(data)
        self._until_look -= written or 0
        if self._until_look < 0:
            self._until_look = _WATCHED
            keep_newest(self.fileno(), os.fstat(self.fileno()))
        return written


def open_text(descriptor: int) -> io.TextIOWrapper:
    """A standard stream of this descriptor."""
    return _set_up(io.TextIOWrapper(_open(descriptor), **_OPTIONS), descriptor)


def reopen(stream: io.TextIOWrapper, descriptor: int) -> None:
    """Let this stream be one of this descriptor, for those who hold on to it."""
    io.TextIOWrapper.__init__(stream, _open(descriptor), **_OPTIONS)
    _set_up(stream, descriptor)


def _open(descriptor: int) -> Any:
    if descriptor == 0:
        return io.open(descriptor, "rb", closefd=False)  # it lives as long as the process
    return _AppendedFile(descriptor, "wb", closefd=False)


def _set_up(stream: io.TextIOWrapper, descriptor: int) -> io.TextIOWrapper:
    if descriptor != 0:
        keep_back(stream, _LONGEST)
        if not _texts:
            os.register_at_fork(before=flush_output)  # a fork would write it too
        if stream not in _texts:
            _texts.append(stream)
    return stream


def append_to_output() -> None:
    """See that what the app has opened anew by ``/dev/stdout`` or ``/dev/stderr`` by now appends."""
    with contextlib.suppress(OSError):  # the app has closed them
        append_always({identity(os.fstat(1)), identity(os.fstat(2))})


def flush_output() -> None:
    """Write what waits for the end of its line. Never raises."""
    for stream in _texts:
        try:  # noqa: SIM105  # which takes longer, and this is done for each request
            stream.flush()
        except (ValueError, OSError):  # the app may have closed it, or the descriptor
            pass
