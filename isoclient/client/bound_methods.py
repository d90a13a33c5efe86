"""What a method that is to be called in the app's process is bound to: what of that is over there, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, MutableSet
from functools import partial
from types import BuiltinMethodType, MethodType, MethodWrapperType, ModuleType
from typing import Any, Final

from isoclient.transit.places import Place, is_of_tests, place_of

__all__ = ["owner_over_there"]

_METHODS: Final = (MethodType, BuiltinMethodType, MethodWrapperType)
_CONTAINERS: Final = (MutableMapping, MutableSequence, MutableSet)
_DEEPEST: Final = 2  # attributes of attributes


def owner_over_there(
    func: Callable[..., Any], live: Mapping[str, object], named: Mapping[str, object], *, is_fork: bool
) -> dict[int, Place]:
    """Where the app's process has the object whose method ``func`` is, by the object's id, if it has it by a name.

    Args:
        func: what is to be called.
        live: the objects that both processes have.
        named: those of them that a function finds over there by their names, as it does the app.
        is_fork: whether the app's process has the modules of the tests, too.

    Raises:
        TypeError: it is a method of a container that only the test has, so that it would be called on a copy.

    Example:
        >>> import os
        >>> list(owner_over_there(os.environ.get, {}, {}, is_fork=True).values())
        [Place(module='os', attribute='environ')]
    """
    while issubclass(type(func), partial):  # the class alone: a mock says that it is whatever it stands for
        func = func.func  # type: ignore[attr-defined]
    if not issubclass(type(func), _METHODS):
        return {}
    owner = func.__self__  # type: ignore[attr-defined]
    if isinstance(owner, ModuleType | type) or any(owner is each for each in live.values()):
        return {}
    place = place_of(owner)
    is_container = issubclass(type(owner), _CONTAINERS)
    if place is not None and (not is_of_tests(place.module) or (is_fork and not is_container)):
        return {id(owner): place}
    if is_container:
        raise TypeError(_refusal(func.__name__, owner, place, named))
    return {}


def _refusal(method: str, owner: object, place: Place | None, named: Mapping[str, object]) -> str:
    kind = type(owner).__name__
    known = next(filter(None, (_path(name, obj, owner, _DEEPEST) for name, obj in named.items())), None)
    known = known or (place.attribute if place is not None else None)
    how = "over there it means the app's own" if known else "what the app or a module refers to is the app's own there"
    return (
        f"{method}() is bound to a {kind} in the memory of the test, and the app's process would call it on a copy, "
        f"which nobody sees. Pass a function that looks for the {kind} when it is called, for {how}: "
        f"client.call(lambda: {known or 'app.state.items'}.{method}(...))"
    )


def _path(name: str, obj: object, wanted: object, depth: int) -> str | None:
    """How to write ``wanted``, where it is an attribute of ``obj`` or of one of its attributes."""
    attributes = getattr(obj, "__dict__", None)
    if type(attributes) is not dict:
        return None
    for attribute, value in attributes.items():
        if value is wanted:
            return f"{name}.{attribute}"
    deeper = (_path(f"{name}.{key}", value, wanted, depth - 1) for key, value in attributes.items() if depth > 1)
    return next(filter(None, deeper), None)
