"""What may be called to make the objects that a pickle of the app's process tells of.

A pickle names what is to be called, and with what: that could be ``os.system``. What is called here is

- ``__new__``, ``__setstate__`` and the like of classes that are neither Python's nor of the machinery of test runs;
- such a class itself, where it says by a ``__reduce__`` of its own that its objects are made like that;
- of Python's, the classes listed below, and tuples with names such as ``os.stat_result``, with arguments that are
  plain values.

Anything else is refused, and so is a class with a ``__del__``: it owns something, and its copy would give that up.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from types import BuiltinMethodType, FunctionType
from typing import Any, Final

from isoclient.compat.python_pickle import IP_BASES, RE_COMPILE, RECONSTRUCTOR, ZONE
from isoclient.system.modules import os, pickle, threading
from isoclient.transit.bounds import Allowance
from isoclient.transit.classes import class_name, definer, qualified_name
from isoclient.transit.reduction import set_state

__all__ = [
    "LOCKS",
    "Refused",
    "call",
    "fill",
    "is_known_everywhere",
    "make",
    "method_of",
    "new_lock",
    "restore",
    "stands_for_a_call",
]

Args = tuple[Any, ...]


class Refused(pickle.UnpicklingError):
    """An object is not made, because of what would have to be called for it."""


# --- Python's own ---

_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
_CONTAINERS: Final = frozenset({list, tuple, dict, set, frozenset})


def _plain(args: Args) -> bool:
    # Exact types: the length of these is what has come, while a range of any length is a few bytes.
    return all(type(arg) in _ATOMS or type(arg) in _CONTAINERS for arg in args)


def _nothing(args: Args) -> bool:
    return not args


def _bytes(args: Args) -> bool:
    return all(type(arg) is bytes for arg in args)  # a number would be a length


def _factory(args: Args) -> bool:
    return len(args) <= 1


def _of_time(args: Args) -> bool:
    return all(type(arg) in _ATOMS or any(_name(layer) in _ZONES for layer in type(arg).__mro__) for arg in args)


def _fraction(args: Args) -> bool:
    # Not the likes of "1e999999999".
    return all(type(arg) is int or (type(arg) is str and re.fullmatch(r"-?\d+(/\d+)?", arg)) for arg in args)


_ZONES: Final = frozenset({("datetime", "tzinfo"), ("datetime", "timedelta")})

_CALLED: Final[Mapping[tuple[str, str], Callable[[Args], bool]]] = {
    **{("builtins", name): _plain for name in ("complex", "range", "slice", "set", "frozenset")},
    **{("builtins", name): _bytes for name in ("bytes", "bytearray")},
    **{("datetime", name): _of_time for name in ("date", "time", "datetime", "timedelta", "timezone", "tzinfo")},
    **{("collections", name): _plain for name in ("Counter", "OrderedDict", "deque")},
    ("collections", "defaultdict"): _factory,
    ("decimal", "Decimal"): _plain,
    ("fractions", "Fraction"): _fraction,
    **{("ipaddress", f"IPv{n}{what}"): _plain for n in (4, 6) for what in ("Address", "Network", "Interface")},
    **{("ipaddress", name): _plain for name in IP_BASES},
    **{("pathlib", name): _plain for name in ("PurePath", "PurePosixPath", "PureWindowsPath", "PosixPath", "Path")},
    ("types", "SimpleNamespace"): _nothing,
}
"""What of Python is called itself, or what a class inherits its ``__reduce__`` from; and with which arguments."""

_NATIVE: Final = frozenset({object, int, float, complex, str, list, tuple, dict, set, frozenset})
_HOOKED: Final = frozenset({("uuid", "UUID")})
"""Classes of Python whose ``__setstate__`` is called."""
_FILLED: Final = frozenset({*(("builtins", name) for name in ("list", "dict", "set"))}) | {
    ("collections", name) for name in ("deque", "OrderedDict")
}
_MACHINERY: Final = frozenset({"isoclient", "dill", "multiprocess", "pytest", "_pytest"})


def _name(cls: Any) -> tuple[str, str]:
    """The package that a class is of, and its qualified name there."""
    module, qualname = class_name(cls)
    return module.partition(".")[0], qualname


def _is_the_users(cls: Any) -> bool:
    package = _name(cls)[0]
    return package not in sys.stdlib_module_names and package not in _MACHINERY


def _is_struct_sequence(cls: Any) -> bool:
    """Whether it is one of Python's tuples with names that are made in C, of their items alone."""
    return definer(cls, "n_sequence_fields") is cls and definer(cls, "__reduce__") is cls and not _is_the_users(cls)


def is_known_everywhere(cls: type) -> bool:
    """Whether it is of those classes of Python's that need no stand-in for their objects."""
    return _name(cls) in _CALLED or _name(cls) in _HOOKED or _is_struct_sequence(cls)


# --- what is made ---


def call(function: Any, args: Args, allowance: Allowance) -> Any:
    """``function(*args)``, where that is no more than the making of an object.

    Raises:
        Refused: it is, or might be.
        BaseException: what the user's own class raises.
    """
    if type(function) is FunctionType:
        maker = _MAKERS.get(f"{function.__module__}.{function.__qualname__}")
        if maker is not None:
            return maker(allowance, *args)
    if type(function) is BuiltinMethodType and function.__name__ == "__new__" and args:
        _check_class(args[0])
        return _make_native(args[0], function, args[1:], {})
    if issubclass(type(function), type) and type(args) is tuple:
        if function is type and len(args) == 1 and any(args[0] is one for one in (None, NotImplemented, ...)):
            return type(args[0])
        if _may_be_called(function, args):
            return allowance.run(function, *args) if _is_the_users(function) else function(*args)
    raise Refused(f"{_described(function)} would have to be called here to make it")


def _may_be_called(cls: Any, args: Args) -> bool:
    if definer(cls, "__del__") is not None:
        return False
    if issubclass(cls, Enum):
        return len(args) == 1
    if issubclass(cls, BaseException):
        return not issubclass(cls, BaseExceptionGroup) or _plain(args)
    if check := _CALLED.get(_name(cls)):
        return check(args)
    if _is_struct_sequence(cls):
        return _plain(args)
    layer = _reducer(cls)
    if layer is object:
        return False
    check = _CALLED.get(_name(layer))
    return check(args) if check is not None else _is_the_users(layer)


def _reducer(cls: Any) -> Any:
    """The class that says how objects of ``cls`` are made."""
    layers = [definer(cls, name) for name in ("__reduce__", "__reduce_ex__")]
    return next((layer for layer in layers if layer is not object), object)


def make(cls: Any, args: Args, kwargs: Mapping[str, Any], allowance: Allowance) -> Any:
    """``cls.__new__(cls, *args, **kwargs)``, by the same rules."""
    _check_class(cls)
    layer: Any = definer(cls, "__new__")
    new = vars(layer)["__new__"]
    if type(new) is BuiltinMethodType:
        return _make_native(cls, new, args, kwargs)
    if _is_the_users(layer):
        return allowance.run(new.__get__(None, cls), cls, *args, **kwargs)
    if issubclass(cls, tuple) and definer(cls, "_fields") is layer:
        return tuple.__new__(cls, args)  # a named tuple
    raise Refused(f"{qualified_name(layer)}.__new__ would have to be called here to make it")


def _check_class(cls: Any) -> None:
    if not issubclass(type(cls), type) or definer(cls, "__del__") is not None or issubclass(cls, (type, Enum)):
        raise Refused(f"{_described(cls)} would have to be called here to make it")


def _make_native(cls: Any, new: Any, args: Args, kwargs: Mapping[str, Any]) -> Any:
    native = new.__self__
    check = _plain if native in _NATIVE or issubclass(native, BaseException) else _CALLED.get(_name(native))
    if check is None or kwargs or not check(args):
        raise Refused(f"{qualified_name(native)}.__new__ would have to be called here to make it")
    return new(cls, *args)


def _make_by_base(allowance: Allowance, cls: Any, base: Any, state: Any) -> Any:
    _check_class(cls)
    if not any(base is native for native in _NATIVE):
        raise Refused(f"{_described(base)}.__new__ would have to be called here to make it")
    return _make_native(cls, base.__new__, () if base is object else (state,), {})


def _make_pattern(allowance: Allowance, pattern: str | bytes, flags: int) -> re.Pattern[Any]:
    if type(pattern) not in (str, bytes) or type(flags) is not int:
        raise Refused("a pattern is made of text and flags")
    return re.compile(pattern, flags & ~re.DEBUG)


LOCKS: Final = type(threading.Lock()), type(threading.RLock())


def new_lock(is_reentrant: bool) -> Any:
    """What a lock becomes where an object crosses that has one for itself."""
    return threading.RLock() if is_reentrant else threading.Lock()


_MAKERS: Final[Mapping[str, Callable[..., Any]]] = {
    "copyreg.__newobj__": lambda allowance, cls, *args: make(cls, args, {}, allowance),
    "copyreg.__newobj_ex__": lambda allowance, cls, args, kwargs: make(cls, args, kwargs, allowance),
    RECONSTRUCTOR: _make_by_base,
    RE_COMPILE: _make_pattern,
    f"{new_lock.__module__}.{new_lock.__qualname__}": lambda allowance, is_reentrant: new_lock(is_reentrant is True),
}
"""What is done in place of some functions of Python's that reductions name."""


def restore(obj: Any, state: Any, allowance: Allowance) -> None:
    """Give an object that has been made its state, by the same rules."""
    layer = definer(type(obj), "__setstate__")
    if layer is None:
        set_state(obj, state)
    elif _is_the_users(layer) or layer is BaseException:
        allowance.run(set_state, obj, state)
    elif _name(layer) in _HOOKED:
        set_state(obj, state)
    else:
        raise Refused(f"{qualified_name(layer)}.__setstate__ would have to be called here to make it")


def fill(obj: Any, method: str, args: Args, allowance: Allowance) -> None:
    """Put items into an object that has been made, by the same rules."""
    layer: Any = definer(type(obj), method)
    if layer is None or not (_is_the_users(layer) or _name(layer) in _FILLED):
        raise Refused(f"{qualified_name(type(obj))}.{method} would have to be called here to make it")
    allowance.run(getattr(layer, method), obj, *args)


def method_of(cls: Any, name: str) -> Any:
    """An attribute of a class that its objects are made by, as pickle asks for it: ``getattr(cls, name)``."""
    if issubclass(type(cls), type) and type(name) is str:
        if issubclass(cls, Enum):
            return cls.__members__[name]
        if _name(cls) == ("zoneinfo", "ZoneInfo") and name == ZONE:
            return _zone
        layer: Any = definer(cls, name)
        if name == "__new__" and layer is not None and type(vars(layer)[name]) is BuiltinMethodType:
            return vars(layer)[name]
        # The one of a class that says that it is made like that.
        if layer is not None and _is_the_users(layer) and _is_the_users(_reducer(cls)):
            return getattr(cls, name)
    raise Refused(f"an attribute {name!r} of {_described(cls)} would have to be read here to make it")


def stands_for_a_call(method: Any) -> bool:
    """Whether :func:`method_of` has found something that may be called, rather than a member of an enumeration."""
    return method is _zone or getattr(method, "__self__", None).__class__ is type


def _described(thing: Any) -> str:
    if issubclass(type(thing), type):
        return qualified_name(thing)
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    return f"{module}.{name}" if isinstance(name, str) else f"an object of {qualified_name(type(thing))}"


def _zone(key: str, from_cache: bool = True) -> Any:
    """A time zone, if the system knows it. Where it does not, :mod:`zoneinfo` imports a package."""
    zoneinfo: Any = sys.modules["zoneinfo"]
    parts = key.split("/")
    if ".." in parts or not any(os.path.isfile(os.path.join(folder, *parts)) for folder in zoneinfo.TZPATH):
        raise Refused(f"the time zone {key!r} is not among the system's")
    return zoneinfo.ZoneInfo(key)
