"""Where the things of the test's process are held: the name in a module of somebody's own that leads to each."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

from isoclient.system.modules import time
from isoclient.transit.libraries import is_own_module
from isoclient.transit.looks import is_of_library
from isoclient.transit.places import module_of

__all__ = ["held_by_debugger", "held_things"]

_MOST: Final = 300_000  # objects
_LONGEST: Final = 0.5  # seconds
_STEP: Final = 1000
_DEBUGGERS: Final = ("pydevd", "debugpy")


def held_things(modules: Iterable[ModuleType] | None = None) -> Iterator[tuple[object, str]]:
    """What modules lead to, each with ``module.name``, the nearest first, within a bound.

    Args:
        modules: which; all of somebody's own by default.
    """
    return _reached(
        (module for module in sys.modules.copy().values() if is_own_module(module)) if modules is None else modules
    )


def held_by_debugger() -> Iterator[tuple[object, str]]:
    """The same for what is a debugger's, and none of the test's or its app's."""
    modules = sys.modules.copy().items()
    return _reached(module for name, module in modules if name.partition(".")[0] in _DEBUGGERS)


def _reached(modules: Iterable[ModuleType]) -> Iterator[tuple[object, str]]:
    waiting = deque(
        (value, f"{module.__name__}.{name}")
        for module in modules
        for name, value in list(vars(module).items())
        if not name.startswith("__")  # such as __loader__, which leads to all of pytest
    )
    seen = {id(value) for value, _ in waiting}
    end = time.monotonic() + _LONGEST
    for number in range(_MOST):
        if not waiting or (number % _STEP == 0 and time.monotonic() > end):
            return
        thing, holder = waiting.popleft()
        yield thing, holder
        if _leads_away(thing):
            continue
        for part in gc.get_referents(thing):
            if id(part) not in seen and gc.is_tracked(part):
                seen.add(id(part))
                waiting.append((part, holder))


def _leads_away(thing: Any) -> bool:
    """Whether it leads to what all refer to: libraries, frames, event loops."""
    if type(thing) is dict:
        return module_of(thing) is not None
    cls = type(thing)  # not isinstance(), which may ask it
    if issubclass(cls, type):
        return is_of_library(thing)
    return issubclass(cls, ModuleType | CodeType | FrameType) or _is_event_loop(cls)


def _is_event_loop(cls: type) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio.AbstractEventLoop in type.__dict__["__mro__"].__get__(cls)
