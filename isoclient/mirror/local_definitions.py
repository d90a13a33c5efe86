"""What functions and classes that a test defines lead to: variables of functions around them, and containers.

A class of a module leads nowhere, nor does a function of one, for what modules hold is not shared.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial, partialmethod
from types import FunctionType, MethodType
from typing import Any, Final

from isoclient.mirror.watched_values import CONTAINERS, contents
from isoclient.transit.places import is_of_tests

__all__ = ["WRAPPED", "is_local", "is_of_what_stands_in_it", "led_to_by_class", "variables"]

WRAPPED: Final[dict[type, Callable[[Any], Sequence[object]]]] = {
    MethodType: lambda method: (method.__self__, method.__func__),
    partial: lambda call: (call.func, *call.args, *call.keywords.values()),
    partialmethod: lambda call: (call.func, *call.args, *call.keywords.values()),
    property: lambda attribute: (attribute.fget, attribute.fset, attribute.fdel),
    cached_property: lambda attribute: (attribute.func,),
    type(lru_cache(len)): lambda cached: (getattr(cached, "__wrapped__", None),),
    **dict.fromkeys((staticmethod, classmethod), lambda method: (method.__func__,)),
}
"""What stands for functions, and what is in it."""


def is_local(definition: Any) -> bool:
    """Whether a function of a test defines this class, or function, and no module has it by its name."""
    owner: Any = FunctionType if type(definition) is FunctionType else type
    module = owner.__getattribute__(definition, "__module__")
    if type(module) is not str or not is_of_tests(module):
        return False
    is_inner = "<locals>" in owner.__getattribute__(definition, "__qualname__")
    by_name = vars(sys.modules.get(module, object)).get(owner.__getattribute__(definition, "__name__"))
    return is_inner and by_name is not definition


def is_of_what_stands_in_it(kind: type) -> bool:
    """Whether a class has nothing that its metaclass has put there, as those of models have."""
    return (
        type(kind) is type or type(kind) is ABCMeta
    )  # no tuple, in which a metaclass of a metaclass would be compared


def variables(function: FunctionType) -> Sequence[object]:
    """Those that a function has of functions around it, and containers that it has for arguments that are not given."""
    cells = function.__closure__ or ()
    if type(function.__module__) is str and is_of_tests(function.__module__):
        defaults = *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()
        containers = [value for value in defaults if type(value) in CONTAINERS]
        return (*cells, *containers) if containers and is_local(function) else cells
    # Of a decorator from elsewhere, whose variables are its own.
    parts = [part for cell in cells for part in contents(cell)]
    return [part for part in parts if type(part) is FunctionType or type(part) in WRAPPED]


def led_to_by_class(kind: type) -> Sequence[object]:
    """What a local class leads to: the variables of its methods, the containers that it has, and local bases."""
    found: list[object] = [layer for layer in type.__dict__["__mro__"].__get__(kind)[1:] if is_local(layer)]
    has_containers = is_of_what_stands_in_it(kind)
    for name, value in list(type.__dict__["__dict__"].__get__(kind).items()):
        if type(value) in WRAPPED:
            found += WRAPPED[type(value)](value)
        elif type(value) is FunctionType:
            found += variables(value)
        elif has_containers and type(value) in CONTAINERS and not name.startswith("__"):
            found.append(value)
    return found
