"""Python's pickle: its unpickler in Python, and what its own classes are pickled by."""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import Any, Final

from isoclient.compat.self_tests import self_test
from isoclient.system.modules import pickle

__all__ = ["EXTENSIONS", "IP_BASES", "RECONSTRUCTOR", "RE_COMPILE", "ZONE", "Steps", "can_go_step_by_step"]

Steps: Any = getattr(pickle, "_Unpickler", object)
"""The unpickler that takes each step of a pickle in a method of its own."""

EXTENSIONS: Final[Mapping[Any, Any]] = getattr(copyreg, "_extension_cache", {None: None})
"""What :mod:`copyreg` has at hand for codes in pickles, without looking it up. Not empty where nobody knows."""

RECONSTRUCTOR: Final = "copyreg._reconstructor"
"""What makes an object of a class that has nothing to say on that."""
RE_COMPILE: Final = "re._compile"
"""What makes a pattern."""
IP_BASES: Final = ("_BaseAddress", "_BaseNetwork")
"""The classes that those of :mod:`ipaddress` inherit their ``__reduce__`` from."""
ZONE: Final = "_unpickle"
"""What makes a :class:`zoneinfo.ZoneInfo`."""


@self_test("Reading what the app sends of classes of its own", project="Python")
def can_go_step_by_step() -> None:
    for name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "FRAME"):
        assert callable(Steps.dispatch[getattr(pickle, name)[0]])
    assert callable(Steps.pop_mark)
