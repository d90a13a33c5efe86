"""Taking apart, for pickle, the objects that answer for their attributes themselves.

pickle asks an object for its special methods as anybody would: ``obj.__getnewargs_ex__`` before it is taken apart, and
``copy.__setstate__`` while the copy is still empty. A ``__getattr__`` that reads what ``__init__`` has made then calls
itself without end, and one that answers to any name answers to these. What Python itself does with special methods is
to look for them in the class alone; so do the functions here.
"""

from __future__ import annotations

import copyreg
from types import WrapperDescriptorType
from typing import Any, Final

from isoclient.transit.anatomy import native_base
from isoclient.transit.places import Place

__all__ = ["reduced", "reduced_in_place", "set_items", "set_state"]

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_HOOKS: Final = ("__getattr__", "__getattribute__", "__setattr__")
_ABSENT: Final = object()


def reduced(obj: Any) -> Any:
    """What a pickler's ``reducer_override`` is to return: NotImplemented for all objects that pickle can deal with.

    Example:
        >>> class State:
        ...     def __init__(self):
        ...         self.__dict__["known"] = {"color": "red"}
        ...     def __getattr__(self, name):
        ...         return self.known[name]
        >>> reduced(State())[2], reduced([])
        ({'known': {'color': 'red'}}, NotImplemented)
    """
    cls = type(obj)
    # Most objects are of the interpreter's own classes.
    if not cls.__flags__ & _HEAP_TYPE or issubclass(cls, type) or not _has_hooks(cls):
        return NotImplemented
    return _with_setter(_reduction(obj, cls))


def reduced_in_place(obj: Any, place: Place) -> Any:
    """The same for an object that the other side has, too: that is not made, but gets the state that this one has.

    So what else refers to it over there, as the globals of its module do, means the one that arrives. Where that side
    has no such object, it gets a copy.
    """
    reduction = reduced(obj)
    if reduction is NotImplemented:
        reduction = obj.__reduce_ex__(5)
    match reduction:
        case (copyreg.__newobj__, args, dict(state), None, None, *_):  # type: ignore[attr-defined]
            return _at, (tuple(place), *args), state, None, None, replace_state
    return reduction


def _at(place: tuple[str, str], cls: type, *args: object) -> object:
    try:
        found = Place(*place).get()
    except (ImportError, AttributeError):
        found = None
    return found if type(found) is cls else cls.__new__(cls, *args)


def replace_state(obj: object, state: Any) -> None:
    """:func:`set_state` for an object that has a state already."""
    object.__getattribute__(obj, "__dict__").clear()
    set_state(obj, state)


def set_state(obj: object, state: Any) -> None:
    """Give an empty copy its state as pickle does, but ask the class alone, and set attributes past its hooks."""
    cls: Any = type(obj)
    if _in_class(cls, "__setstate__") is not _ABSENT:
        cls.__setstate__(obj, state)
        return
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    if attributes:
        object.__getattribute__(obj, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)


def set_items(obj: dict[Any, Any], items: dict[Any, Any]) -> None:
    """Give an empty copy of a dict of somebody's class its items, also where that lets nobody set any."""
    dict.update(obj, items)


def _has_hooks(cls: type) -> bool:
    found = (vars(layer).get(name) for layer in cls.__mro__[:-1] for name in _HOOKS)
    # A class of an extension module has its slots there, which ask nothing of an object.
    return any(hook is not None and type(hook) is not WrapperDescriptorType for hook in found)


def _reduction(obj: Any, cls: Any) -> Any:
    registered = copyreg.dispatch_table.get(cls)
    if registered is not None:
        return registered(obj)
    own = (_in_class(cls, name) is not vars(object)[name] for name in ("__reduce__", "__reduce_ex__"))
    new = (_in_class(cls, name) is not _ABSENT for name in ("__getnewargs__", "__getnewargs_ex__"))
    if any(own) or any(new) or native_base(cls) is not object:
        return obj.__reduce_ex__(5)
    return copyreg.__newobj__, (cls,), cls.__getstate__(obj)  # type: ignore[attr-defined]  # as object.__reduce_ex__


def _with_setter(reduction: Any) -> Any:
    if type(reduction) is not tuple or not 3 <= len(reduction) <= 5 or reduction[2] is None:
        return reduction  # a global's name, or nothing to set
    return *reduction, *[None] * (5 - len(reduction)), set_state


def _in_class(cls: type, name: str) -> object:
    return next((vars(layer)[name] for layer in cls.__mro__ if name in vars(layer)), _ABSENT)
