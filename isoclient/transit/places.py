"""Where the objects of this process can be imported from."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Set
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from isoclient.system.modules import os

__all__ = ["Place", "find_places", "foreign_part", "is_importable_there", "is_of_tests", "module_of", "place_of"]

_MOST_PARTS: Final = 1_000_000
_MAIN: Final = ("__main__", "__mp_main__")


class Place(NamedTuple):
    """An attribute of a module.

    Example:
        >>> str(Place("shop.main", "app"))
        'shop.main:app'
    """

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"

    def get(self) -> Any:
        """What is there in this process; the module is imported if need be.

        Raises:
            ImportError, AttributeError: there is no such module, or attribute.
        """
        module = sys.modules.get(self.module) or importlib.import_module(self.module)
        return getattr(module, self.attribute)


def place_of(obj: object) -> Place | None:
    """Where ``obj`` can be imported from; rather from a module that is not of the tests, which import it from there.

    Example:
        >>> import os
        >>> print(place_of(os.environ))
        os:environ
    """
    return find_places({id(obj)}).get(id(obj))


def find_places(wanted: Set[int]) -> dict[int, Place]:
    """The same for several objects, by their ids. None of their code runs, nor that of the modules."""
    found: dict[int, Place] = {}
    for name, module in sys.modules.copy().items():
        # The first look, without a name, makes it twice as fast: it is for the start of each app that is an object.
        if type(module) is ModuleType and not wanted.isdisjoint(map(id, list(vars(module).values()))):
            for attribute, value in list(vars(module).items()):
                if id(value) in wanted and (id(value) not in found or _is_better(name, found[id(value)].module)):
                    found[id(value)] = Place(name, attribute)
    return found


def _is_better(module: str, known: str) -> bool:
    return is_of_tests(known) and not is_of_tests(module)


def is_of_tests(module: str) -> bool:
    """Whether a module is one of tests, or the main module, as far as its name says.

    Example:
        >>> is_of_tests("tests.test_shop"), is_of_tests("shop.testing")
        (True, False)
    """
    last = module.rpartition(".")[2]
    return last.startswith(("test_", "conftest")) or last.endswith("_test") or module in _MAIN


def is_importable_there(module: str) -> bool:
    """Whether a fresh interpreter with this process's ``sys.path`` finds the same module by this name.

    It would not find the main module, one that was made by hand, or one that pytest has imported by its file.
    """
    here = sys.modules.get(module)
    origin = getattr(getattr(here, "__spec__", None), "origin", None) or getattr(here, "__file__", None)
    if module in _MAIN or origin is None:
        return False
    parts, path = module.split("."), None
    for end in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:end]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return spec.origin is not None and os.path.abspath(spec.origin) == os.path.abspath(origin)


def _spec(name: str, path: Any) -> Any:
    # Not importlib.util.find_spec: that asks sys.modules first.
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def foreign_part(obj: object, place: Place) -> object | None:
    """Something in ``obj`` that an import of its place can't have put there, as it is of a test or a double; or None.

    A name can't say whether an object is as its import made it. But a function of a test's that has become part of an
    app, as an overridden dependency, is a sure sign that it is not.
    """
    seen = {id(obj)}
    waiting = [obj]
    while waiting and len(seen) < _MOST_PARTS:
        part = waiting.pop()
        if _is_foreign(part, place):
            return part
        for found in gc.get_referents(part):
            if id(found) not in seen and not _leads_away(found):
                seen.add(id(found))
                waiting.append(found)
    return None


def _is_foreign(part: object, place: Place) -> bool:
    module = part.__module__ if isinstance(part, FunctionType) else type.__getattribute__(type(part), "__module__")
    if not isinstance(module, str) or module == place.module:
        return False
    return is_of_tests(module) or module == "unittest.mock"


def _leads_away(part: object) -> bool:
    """Whether it is known to all, so that what it refers to is no part of the one in question."""
    if type(part) is dict:
        return module_of(part) is not None
    return issubclass(type(part), ModuleType | type | CodeType | FrameType)  # not isinstance(), which may ask it


def module_of(namespace: dict[str, Any]) -> str | None:
    """The module that has this very dict as its globals, or None."""
    name = namespace.get("__name__")
    return name if type(name) is str and vars(sys.modules.get(name, object)) is namespace else None
