"""What classes are called, references to them, and the classes that those mean in this process."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

__all__ = [
    *("ClassRef", "NotHere", "class_name", "definer", "is_importable", "live_class", "loaded", "look_up"),
    *("qualified_name", "refer_to", "remember", "resolve"),
]

# As the interpreter sees them: a metaclass, or a module that imports others when it is asked for them, may answer
# for itself.
_QUALNAME: Final = vars(type)["__qualname__"]
_MODULE: Final = vars(type)["__module__"]
_MRO: Final = vars(type)["__mro__"]
_IN_CLASS: Final = vars(type)["__dict__"]
_IN_MODULE: Final = vars(ModuleType)["__dict__"]


def class_name(cls: type) -> tuple[str, str]:
    """The module and the qualified name of a class, both plain strings, whatever the class says."""
    module = _MODULE.__get__(cls)
    return (str.__str__(module) if isinstance(module, str) else "?"), str.__str__(_QUALNAME.__get__(cls))


def qualified_name(cls: type) -> str:
    """The name of a class as a traceback shows it: without its module if that is ``builtins``.

    Example:
        >>> qualified_name(ValueError)
        'ValueError'
    """
    module, qualname = class_name(cls)
    return qualname if module in ("builtins", "__main__") else f"{module}.{qualname}"


class NotHere(LookupError):
    """Something has no place in this process; the text says what, and why."""


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
    identity = 0 if is_importable(cls) else _origins.get(id(cls), id(cls))
    # A spawned process runs the parent's main module under this name.
    return ClassRef("__main__" if module == "__mp_main__" else module, qualname, identity)


def resolve(ref: ClassRef, root: type) -> type | None:
    """The subclass of ``root`` that ``ref`` means here, or None. Imports nothing, and runs no code of the user's.

    Raises:
        NotHere: the module has not been imported, or has nothing of that name.
    """
    if ref.identity:
        return live_class(ref, root)
    found = loaded(ref.module, ref.qualname)
    return found if isinstance(found, type) and issubclass(found, root) else None


def loaded(module: str, qualname: str) -> object:
    """What has that qualified name in a module that has been imported already. No code runs for it.

    Raises:
        NotHere: the module has not been imported, or has nothing of that name.

    Example:
        >>> loaded("builtins", "dict")
        <class 'dict'>
        >>> loaded("shop.errors", "SoldOut")
        Traceback (most recent call last):
            ...
        isoclient.transit.classes.NotHere: the test has not imported 'shop.errors', so shop.errors.SoldOut...
    """
    home = sys.modules.get(module)
    if not issubclass(type(home), ModuleType):
        raise NotHere(f"the test has not imported {module!r}, so {module}.{qualname} is unknown to it")
    first, *rest = qualname.split(".")
    found: Any = _IN_MODULE.__get__(home).get(first, _ABSENT)
    if found is _ABSENT:
        found = _exported_late(module, first)
    for name in rest:
        layer = definer(found, name) if issubclass(type(found), type) else None
        if layer is None:
            raise NotHere(f"{module} has no {qualname}")
        found = _IN_CLASS.__get__(layer)[name]
    return cast(object, found)


_ABSENT: Final = object()


def _exported_late(module: str, name: str) -> type:
    """A class that its module hands out by a ``__getattr__``, which could import anything, so it is not asked."""
    found = [cls for cls in _subclasses(object) if class_name(cls) == (module, name)]
    if len(found) != 1:
        raise NotHere(f"{module} has no {name}")
    return found[0]


def definer(cls: Any, name: str) -> type | None:
    """The class in the MRO of ``cls`` that defines ``name``, or None. No code runs for it.

    Example:
        >>> definer(bool, "__add__"), definer(bool, "color")
        (<class 'int'>, None)
    """
    return next((layer for layer in _MRO.__get__(cls) if name in _IN_CLASS.__get__(layer)), None)


def is_importable(cls: type) -> bool:
    """Whether the name of ``cls`` leads to it, so that an import finds it."""
    return look_up(*class_name(cls)) is cls


def live_class(ref: ClassRef, root: type) -> type | None:
    """The living subclass of ``root`` with the identity and the names of ``ref``.

    A class made before a fork has one id in both processes, so that a class local to a test is found by it. Nothing
    needs to say whether there was a fork: a false match needs the same address, the same module and the same qualified
    name, so it is a class made by the same statement. A class that has come by value is found by what it is a copy of.
    """
    if (copy := _copies.get(ref)) is not None:
        return copy
    return next(
        (cls for cls in _subclasses(root) if id(cls) == ref.identity and class_name(cls) == (ref.module, ref.qualname)),
        None,
    )


_copies: Final[weakref.WeakValueDictionary[ClassRef, type]] = weakref.WeakValueDictionary()
_origins: Final[dict[int, int]] = {}


def remember(ref: ClassRef, made: Any) -> Any:
    """Know this from now on as a copy of what ``ref`` means to the other process, and return it.

    So it is made once, and what comes from it, such as an exception, is of the class that the other process knows.
    """
    if isinstance(made, type):
        _copies[ref] = made
        _origins[id(made)] = ref.identity
        weakref.finalize(made, _origins.pop, id(made), None)
    return made


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
