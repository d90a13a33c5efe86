"""What an app has left behind: pictures of its process, and what is in one of now that was not in one of then."""

from __future__ import annotations

import gc
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Kind, Subject
from isoclient.leaks.kinds import KINDS
from isoclient.leaks.module_globals import Globals
from isoclient.leaks.open_files import OpenFiles
from isoclient.leaks.processes import Processes
from isoclient.leaks.replaced_modules import ReplacedModules
from isoclient.leaks.tasks import Tasks
from isoclient.leaks.threads import Threads

__all__ = ["NOTHING", "Pictures", "take_ahead"]

NOTHING: Final[Mapping[type[Kind], Any]] = MappingProxyType({})
_ENDING: Final = (OpenFiles, Processes, Tasks, Threads)


class Pictures:
    """Those of one process; the first is taken when it is made.

    Args:
        subject: the process.
        kinds: the kinds of things that are looked at.
        inherited: what :func:`take_ahead` has returned in the process that this one is a fork of.
    """

    def __init__(
        self,
        subject: Subject,
        kinds: Iterable[type[Kind]] = KINDS,
        *,
        inherited: Mapping[type[Kind], Any] = NOTHING,
    ) -> None:
        self._kinds = [kind(subject) for kind in kinds]
        self._first = [inherited[type(kind)] if type(kind) in inherited else kind.before() for kind in self._kinds]
        self._held: list[Any] | None = None
        self._told: set[Hashable] = set()

    def _take(self) -> list[Any]:
        return [kind.before() for kind in self._kinds]

    def hold(self) -> None:
        """The startup of the app is over: what is there now is held until its shutdown."""
        self._held = self._take()

    def look(self, *, is_held: bool, open_calls: Collection[int] = (), is_serving: bool = False) -> list[Found]:
        """What has been left behind.

        Args:
            is_held: whether the lifespan of the app is still open.
            open_calls: the numbers of the calls of the app that are; what they have made is theirs.
            is_serving: whether requests or WebSockets are among them, so that what nobody knows the maker of may be
                theirs, too.
        """
        if is_held and self._held is not None:
            found = self._since(self._held)
        else:
            self._held = None
            found = (one for one in self._since(self._first) if (one.kind, one.key) not in self._told)
        return [one for one in found if not _may_be_of(one, open_calls, is_serving)]

    def is_settled(self, open_calls: Collection[int]) -> bool:
        """Whether nothing is there that may be about to end by itself."""
        gc.collect()  # what nobody refers to is not left behind
        picture = self._held or self._first
        return all(
            _may_be_of(one, open_calls, is_serving=False)
            for kind, before in zip(self._kinds, picture, strict=True)
            if isinstance(kind, _ENDING)
            for one in kind.after(before)
        )

    def _since(self, picture: list[Any]) -> Iterator[Found]:
        for kind, before in zip(self._kinds, picture, strict=True):
            yield from kind.after(before)

    def go_on(self, found: Collection[Found]) -> None:
        """This has been told, and is not to be told again."""
        if found:  # else it is as it was
            self.renew(found)

    def renew(self, found: Collection[Found] = ()) -> None:
        """What there is now is not to be told, and this has been."""
        if self._held is None:
            self._first = self._take()
            self._told.clear()
        else:
            self._held = self._take()
            self._told |= {(one.kind, one.key) for one in found}


def take_ahead() -> dict[type[Kind], Any]:
    """Pictures of what a fork will have as it is here: to look at it there would have all of that memory copied."""
    return {kind: kind(Subject()).before() for kind in (Globals, ReplacedModules)}


def _may_be_of(found: Found, open_calls: Collection[int], is_serving: bool) -> bool:
    call = None if found.origin is None else found.origin.call
    return is_serving if call is None else call in open_calls
