"""Descriptors that have an owner from the moment on that they exist, whatever interrupts it.

An exception out of a signal handler, such as Ctrl-C or a time limit on a test, may come after each call, and so before
what has been returned is assigned. What happens within one call of C code is not interrupted. So a descriptor is made
and noted down in one such call, and crossed out and closed in one.

A test may close all descriptors that its process has, ours among them, and open files that get their numbers. So what
is closed is what was opened, or nothing.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, starmap
from typing import Any, Final, TypeVar

from isoclient.system.modules import os, socket

__all__ = ["Belongings", "Identity", "identity", "is_still", "let_go_of_another", "noted"]

T = TypeVar("T")
Identity = tuple[int, int]
_run_through: Final = deque[Any](maxlen=0).extend


def noted(book: list[T], function: Callable[..., T], *args: Any) -> T:
    """Call a function, and append what it returns to a list, in one step.

    Example:
        >>> book = []
        >>> noted(book, min, 2, 1), book
        (1, [1])
    """
    book.extend(starmap(function, (args,)))
    return book[-1]


def identity(status: os.stat_result) -> Identity:
    """What distinguishes a file from one that has got its descriptor's number later."""
    return status.st_dev, status.st_ino


def is_still(descriptor: int, file: Identity | None) -> bool:
    """Whether this is the number of that file still."""
    try:
        return file is None or identity(os.fstat(descriptor)) == file
    except OSError:
        return False


def let_go_of_another(sock: socket.socket, file: Identity) -> bool:
    """Have a socket forget its number, if that is another file's by now: whatever is done with it then is an OSError.

    Returns:
        Whether it has none any more.
    """
    if not is_still(sock.fileno(), file):
        sock.detach()
    return sock.fileno() < 0


class Belongings:
    """Descriptors that are closed together, at the latest when nobody refers to this any more.

    Example:
        >>> belongings = Belongings()
        >>> reading, writing = belongings.make_all(os.pipe)
        >>> os.write(writing, b"!")
        1
        >>> belongings.close()
    """

    __slots__ = ("_files", "_numbers")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._files: dict[int, Identity] = {}  # of those that have been noted in time

    def make(self, function: Callable[..., int], *args: Any) -> int:
        """Own the descriptor that this function returns, and return it."""
        descriptor = noted(self._numbers, function, *args)
        self._files[descriptor] = identity(os.fstat(descriptor))
        return descriptor

    def make_all(self, function: Callable[..., Iterable[int]], *args: Any) -> list[int]:
        """Own all descriptors that this function returns, and return them."""
        before = len(self._numbers)
        self._numbers.extend(chain.from_iterable(starmap(function, (args,))))
        made = self._numbers[before:]
        self._files.update((descriptor, identity(os.fstat(descriptor))) for descriptor in made)
        return made

    def close_one(self, descriptor: int) -> None:
        """Close this one, if it is still owned, and has not been closed by somebody else."""
        try:
            index = self._numbers.index(descriptor)
            if is_still(descriptor, self._files.pop(descriptor, None)):
                _run_through(map(os.close, map(self._numbers.pop, (index,))))
            else:
                del self._numbers[index]
        except (ValueError, OSError):
            pass

    def close(self) -> None:
        """Close what is left; idempotent."""
        while self._numbers:
            with contextlib.suppress(IndexError):  # another thread has closed the last one
                self.close_one(self._numbers[-1])

    def __del__(self) -> None:
        try:  # noqa: SIM105  # contextlib may be None, too
            self.close()
        except (AttributeError, TypeError):
            # Its constructor has been interrupted; or the interpreter ends, and what this calls is None by now. The
            # system closes the descriptors then.
            pass
