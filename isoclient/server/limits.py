"""What the app's process may use, at most."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isoclient.transit.anatomy import chain_of, errno_of, is_a, members_of

__all__ = ["RESERVE", "Limits", "limit_hit", "limit_noted", "note_of"]

RESERVE: Final = 2**20
"""Bytes of memory beyond the limit before the kernel refuses any.

So that a process in which something small has been refused is always beyond its limit, which shows from outside. All
that Python and the allocator of C ask the kernel for at a time, for small objects, is at most that.
"""

_NO_THREAD: Final = "can't start new thread"


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps for the app's process; hitting one is a crash that says which.

    Each counts what the app adds: a fork of a test process that uses much already is not the app's doing.

    Args:
        memory: bytes of memory (address space) beyond what the process starts with; None for no limit.
        cpu_seconds: seconds of processor time; None for no limit.
        open_files: descriptors beyond those that the process starts with; None for no limit.

    Raises:
        TypeError: a limit is no whole number.
        ValueError: it is not above zero.

    Example:
        >>> Limits(memory=256 * 2**20, cpu_seconds=10)
        Limits(memory=268435456, cpu_seconds=10, open_files=None)
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    memory: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Limits({name}={value!r}): a limit is a whole number, such as 256 * 2**20, or None")
            if value <= 0:
                raise ValueError(f"Limits({name}={value!r}): a limit is above zero, or None")

    def describe(self, name: str) -> str:
        """One of them in words, for an error.

        Example:
            >>> Limits(cpu_seconds=2).describe("cpu_seconds")
            'its limit of 2 s of processor time'
        """
        if name == "memory":
            return f"its limit of {(self.memory or 0) / 2**20:g} MiB of memory"
        if name == "cpu_seconds":
            return f"its limit of {self.cpu_seconds} s of processor time"
        return f"its limit of {self.open_files} open files"


def limit_hit(limits: Limits | None, error: BaseException | None) -> str | None:
    """The name of the limit that an exception of the app comes from; None if it comes from none.

    Example:
        >>> limit_hit(Limits(memory=2**20), ExceptionGroup("of a task group", [MemoryError()]))
        'memory'
    """
    if limits is None or error is None:
        return None
    for part in _parts(error):
        number = errno_of(part)
        if limits.memory is not None and (is_a(part, MemoryError) or number == errno.ENOMEM or _no_stack(part)):
            return "memory"
        if limits.open_files is not None and number == errno.EMFILE:
            return "open_files"
    return None


def _no_stack(error: BaseException) -> bool:
    """Whether a thread could not be started: its stack takes 8 MiB of address space, as a rule."""
    return type(error) is RuntimeError and [text for text in error.args if type(text) is str] == [_NO_THREAD]


def _parts(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, or while it was handled, and the members of groups."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        part = pending.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            cause, context, _ = chain_of(part)
            pending += [other for other in (cause, context, *members_of(part)) if other is not None]


def note_of(name: str) -> bytes:
    """What an app's process leaves where its last words are, when it has hit this limit."""
    return f"\n(isoclient: it hit its limit: {name})\n".encode()


def limit_noted(text: str) -> str | None:
    """Which limit has been hit, by a process with these last words.

    Example:
        >>> limit_noted(note_of("memory").decode())
        'memory'
    """
    return next((name for name in Limits.__slots__ if note_of(name).decode() in text), None)
