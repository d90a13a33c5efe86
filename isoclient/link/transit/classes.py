"""References to classes, and the classes that they mean in this process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from isoclient.link.transit.text import class_name

__all__ = ["ClassRef", "is_importable", "live_class", "look_up", "refer_to", "resolve"]


class ClassRef(NamedTuple):
    """A class by name, or, if its name does not lead to it, by name and identity."""

    module: str
    qualname: str
    identity: int  # 0: the name will do

    def __str__(self) -> str:
        return f"{self.module}.{self.qualname}"


def refer_to(cls: type) -> ClassRef:
    """A reference to ``cls`` for the other process."""
    module, qualname = class_name(cls)
    identity = 0 if is_importable(cls) else id(cls)
    # A spawned process runs the parent's main module under this name.
    return ClassRef("__main__" if module == "__mp_main__" else module, qualname, identity)


def resolve(ref: ClassRef, root: type) -> type | None:
    """The subclass of ``root`` that ``ref`` means here, or None. Imports its module if nothing less will do."""
    if ref.identity:
        return live_class(ref, root)
    found = look_up(ref.module, ref.qualname)
    if found is None:
        importlib.import_module(ref.module)
        found = look_up(ref.module, ref.qualname)
    return found if isinstance(found, type) and issubclass(found, root) else None


def is_importable(cls: type) -> bool:
    """Whether the name of ``cls`` leads to it, so that an import finds it."""
    return look_up(*class_name(cls)) is cls


def live_class(ref: ClassRef, root: type) -> type | None:
    """The living subclass of ``root`` with the identity and the names of ``ref``.

    A class made before a fork has one id in both processes, so that a class local to a test is found by it. Nothing
    needs to say whether there was a fork: a false match needs the same address, the same module and the same qualified
    name, so it is a class made by the same statement.
    """
    return next(
        (cls for cls in _subclasses(root) if id(cls) == ref.identity and class_name(cls) == (ref.module, ref.qualname)),
        None,
    )


def _subclasses(root: type) -> Iterator[type]:
    seen: set[int] = set()
    found = [root]
    while found:
        cls = found.pop()
        # Neither cls.__subclasses__() nor a set of classes: a metaclass may have its own __subclasses__ and __hash__.
        subclasses: list[type] = type.__subclasses__(cls)
        new = [sub for sub in subclasses if id(sub) not in seen]
        seen.update(map(id, new))
        found += new
        yield cls


def look_up(module: str, qualname: str) -> object | None:
    """What has that qualified name in that module, or None; imports nothing."""
    found: Any = sys.modules.get(module)
    try:
        for name in qualname.split("."):
            found = getattr(found, name, None)
    except BaseException:  # a module or a metaclass may have a __getattr__
        return None
    return cast(object, found)
