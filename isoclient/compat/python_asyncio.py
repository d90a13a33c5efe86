"""asyncio: what an event loop is made of."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from isoclient.compat.self_tests import self_test

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["MODULES", "default_executor", "descriptors"]

MODULES: Final = frozenset({"asyncio.*", "selectors", "_weakrefset"})
"""Those whose code a loop runs, as pdb is told what to skip."""

_PARTS: Final = ("_selector", "_ssock", "_csock")


@self_test("Closing the event loop's descriptors where a process that has imported an app is kept", project="Python")
def _knows_parts() -> None:
    from asyncio import BaseEventLoop, selector_events

    loop: Any = selector_events.BaseSelectorEventLoop
    used = {name for method in vars(loop).values() if type(method) is FunctionType for name in method.__code__.co_names}
    assert used.issuperset(_PARTS)
    assert "_default_executor" in BaseEventLoop.set_default_executor.__code__.co_names


def default_executor(loop: AbstractEventLoop) -> object:
    """That of a loop, if it has one by now; None of a loop that is not of Python's."""
    return getattr(loop, "_default_executor", None)


def descriptors(loop: AbstractEventLoop) -> list[int]:
    """Those that it needs for itself; of a loop that is not of Python's, none.

    That of uvloop, libuv, has some for all loops of a process, and makes them anew in a fork.
    """
    parts: list[Any] = [getattr(loop, name, None) for name in _PARTS] if _knows_parts() else []
    return [part.fileno() for part in parts if part is not None]
