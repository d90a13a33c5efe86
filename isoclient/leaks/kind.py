"""What each kind of thing is made with, and what it can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol, TypeAlias

from isoclient.leaks.found import Found
from isoclient.leaks.origins import Origins

__all__ = ["Chain", "Kind", "Subject"]

Chain: TypeAlias = list[tuple[FrameType, int]]
"""Where a coroutine is suspended: frames and their lines, the outermost first."""


def _no_tasks() -> Iterable[tuple[object, str, Chain]]:
    return ()


def _no_executor() -> object:
    return None


def _nothing_of_the_test(owner: object, key: object) -> bool:
    return False


@dataclass(slots=True)
class Subject:
    """The process that is looked at.

    Attributes:
        origins: what has been noted of where things come from.
        tasks: returns the tasks of the event loop: the task, its name, and where it is.
        executor: returns the one that the event loop has by default, if it has one by now.
        is_of_the_test: whether the test has put there what an owner has under this name or key; with None, under any.
        faults: what has been found as it happened, and can't be found later.
    """

    origins: Origins = field(default_factory=Origins)
    tasks: Callable[[], Iterable[tuple[object, str, Chain]]] = _no_tasks
    executor: Callable[[], object] = _no_executor
    is_of_the_test: Callable[[object, object], bool] = _nothing_of_the_test
    faults: list[Found] = field(default_factory=list)


class Kind(Protocol):
    """One kind of thing."""

    def __init__(self, subject: Subject) -> None:
        """It keeps nothing of what there is, but asks the subject."""

    def before(self) -> Any:
        """A picture of what there is."""

    def after(self, before: Any) -> Iterator[Found]:
        """What is there now and was not when that picture was taken, or is another by now."""
