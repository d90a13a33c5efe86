"""Descriptors that have an owner from the moment on that they exist, whatever interrupts it.

An exception out of a signal handler, such as Ctrl-C or a time limit on a test, may come after each call, and so before
what has been returned is assigned. What happens within one call of C code is not interrupted. So a descriptor is made
and noted down in one such call, and crossed out and closed in one.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, starmap
from typing import Any, Final, TypeVar

from isoclient.link.system import os

__all__ = ["Belongings", "noted"]

T = TypeVar("T")
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


class Belongings:
    """Descriptors that are closed together, at the latest when nobody refers to this any more.

    Example:
        >>> belongings = Belongings()
        >>> reading, writing = belongings.make_all(os.pipe)
        >>> os.write(writing, b"!")
        1
        >>> belongings.close()
    """

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def make(self, function: Callable[..., int], *args: Any) -> int:
        """Own the descriptor that this function returns, and return it."""
        return noted(self._numbers, function, *args)

    def make_all(self, function: Callable[..., Iterable[int]], *args: Any) -> list[int]:
        """Own all descriptors that this function returns, and return them."""
        before = len(self._numbers)
        self._numbers.extend(chain.from_iterable(starmap(function, (args,))))
        return self._numbers[before:]

    def close_one(self, descriptor: int) -> None:
        """Close this one, if it is still owned.

        Raises:
            OSError: somebody else has closed it.
        """
        if descriptor in self._numbers:
            _run_through(map(os.close, map(self._numbers.pop, (self._numbers.index(descriptor),))))

    def close(self) -> None:
        """Close what is left; idempotent."""
        while self._numbers:
            with contextlib.suppress(IndexError, OSError):  # that was the last one; or somebody else has closed it
                _run_through(map(os.close, iter(self._numbers.pop, None)))

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # its constructor has been interrupted
            self.close()
