"""dill: what its pickler is in the middle of, and what it makes classes and functions with. It is slow to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import dill

from isoclient.compat.self_tests import self_test

__all__ = ["MAKERS", "Pickler"]


def _makers() -> tuple[Callable[..., Any], ...]:
    from dill import _dill

    return _dill._create_function, _dill._create_type, _dill._create_namedtuple


@self_test("Finding the app's own class or function for one that a test sends by value", project="dill")
def _knows_makers() -> None:
    assert all(map(callable, _makers()))


MAKERS: Final = _makers() if _knows_makers() else ()
"""The functions that its pickles call to make a function or a class of its parts."""


@self_test("Sending a function or class that is part of itself, or that was made by exec", project="dill")
def _knows_pickler() -> None:
    assert {"_recurse", "_postproc"} <= set(dill.Pickler.__init__.__code__.co_names)


_KNOWS_PICKLER: Final = _knows_pickler()


class Pickler(dill.Pickler):  # type: ignore[misc]
    """dill's, with names for two things of its own."""

    def send_of_globals(self, *, named_alone: bool) -> None:
        """From now on, a function takes along those of its globals alone that it names, or them all."""
        if _KNOWS_PICKLER:
            self._recurse = named_alone

    def is_within_itself(self, obj: object) -> bool:
        """Whether this is a function or a class that it is in the middle of."""
        return _KNOWS_PICKLER and id(obj) in self._postproc and id(obj) not in self.memo
