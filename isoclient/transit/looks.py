"""What a value looks like, for two processes to compare: a bounded text, for which none of its own code runs."""

from __future__ import annotations

import enum
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, Final, NamedTuple

from isoclient.compat.starlette_ import state_in
from isoclient.transit.classes import class_name
from isoclient.transit.libraries import is_of_a_library
from isoclient.transit.synchronizers import is_synchronizer, state_of

__all__ = ["MISSING", "Look", "attribute_of", "is_data", "is_of_library", "look_at", "text_without_code"]

MISSING: Final = object()
_HEAP_TYPE: Final = 1 << 9
_MOST: Final = 10_000  # characters
_DEEPEST: Final = 8
_SCALARS: Final = (type(None), bool, float, complex)
_PRINTED: Final = frozenset({"datetime", "decimal", "uuid", "fractions", "pathlib", "ipaddress", "zoneinfo"})
"""Modules of Python's whose objects are no more than what their repr() says."""
# What a test and an app have to do with one another by, and what keeps caches of its own: no data of either.
_TOOLS: Final = frozenset(
    (
        *("_pytest", "anyio", "async_asgi_testclient", "asyncio", "concurrent", "contextlib", "django", "falcon"),
        *("fastapi", "functools", "http", "httpcore", "httpx", "httpx2", "isoclient", "jinja2", "litestar", "logging"),
        *("multiprocessing", "pluggy", "pytest", "quart", "requests", "socket", "sqlalchemy", "ssl", "starlette"),
        *("threading", "trio", "types", "typing", "unittest", "urllib3", "weakref"),
    )
)


class Look(NamedTuple):
    """A value, seen.

    Attributes:
        text: what it looks like.
        attributes: those of an object, likewise; None for what is no object of a class with attributes.
    """

    text: str
    attributes: dict[str, str] | None


def look_at(value: object) -> Look:
    """What a value looks like.

    Example:
        >>> look_at({"tea": [2, 3]}).text
        "{'tea': [2, 3]}"
    """
    attributes = dict(_attributes(value)) if _kind_of(value) == "object" else None
    seen = {name: text_without_code(part) for name, part in attributes.items()} if attributes is not None else None
    return Look(text_without_code(value), seen)


def is_data(value: object) -> bool:
    """Whether it is something that an app and a test may keep, or wait by; no module, function, class, tool or mock."""
    return bool(_kind_of(value))


def attribute_of(thing: object, name: str) -> Any:
    """An attribute, without running any code of its owner; :data:`MISSING` if it has none that can be had so."""
    if issubclass(type(thing), ModuleType):  # not by isinstance(), which may ask it
        return ModuleType.__getattribute__(thing, "__dict__").get(name, MISSING)
    if issubclass(type(thing), type):
        bases = type.__dict__["__mro__"].__get__(thing)
        found = next((vars(cls)[name] for cls in bases if name in vars(cls)), MISSING)
        return MISSING if hasattr(type(found), "__get__") else found
    own = state_in(_dict_of(thing), type(thing))
    if name in own:
        return own[name]
    for cls in type.__dict__["__mro__"].__get__(type(thing)):
        if name in vars(cls):
            found = vars(cls)[name]
            if isinstance(found, MemberDescriptorType):
                try:
                    return found.__get__(thing)
                except AttributeError:
                    return MISSING
            return MISSING if hasattr(type(found), "__get__") else found
    return MISSING


def _dict_of(thing: object) -> dict[str, Any]:
    for cls in type.__dict__["__mro__"].__get__(type(thing)):
        found = vars(cls).get("__dict__")
        if isinstance(found, GetSetDescriptorType):
            own = found.__get__(thing)
            return own if type(own) is dict else {}
    return {}


def _attributes(thing: object) -> Iterator[tuple[str, object]]:
    for name, value in list(_dict_of(thing).items()):
        if type(name) is str:
            yield name, value
    for cls in type.__dict__["__mro__"].__get__(type(thing)):
        for name, found in vars(cls).items():
            if isinstance(found, MemberDescriptorType) and (value := attribute_of(thing, name)) is not MISSING:
                yield name, value


def _kind_of(value: object) -> str:
    """In which way it is looked at; empty for what is no data."""
    cls = type(value)
    if cls in _SCALARS or issubclass(cls, int | str | bytes | bytearray):
        return "enum" if issubclass(cls, enum.Enum) else "scalar"
    if issubclass(cls, enum.Enum):
        return "enum"
    module, _ = class_name(cls)
    package = module.partition(".")[0]
    if issubclass(cls, dict | list | tuple | set | frozenset | deque):
        return "" if package in _TOOLS else "container"
    if issubclass(cls, BaseException):
        return "exception"
    if package in _PRINTED:
        return "printed"
    if is_synchronizer(cls):
        return "synchronizer"
    if package in _TOOLS or module == "builtins" or any(class_name(base)[0] == "unittest.mock" for base in cls.__mro__):
        return ""
    return "object" if _is_of_python(cls) else ""


def _is_of_python(cls: type) -> bool:
    """Whether it has been made by a class statement, and so has nothing in it but its attributes, as far as is seen."""
    if not cls.__flags__ & _HEAP_TYPE:
        return False
    bases = [vars(base) for base in type.__dict__["__mro__"].__get__(cls)]
    return any("__slots__" in base or "__dict__" in base for base in bases)


def is_of_library(cls: type) -> bool:
    """Whether a class is a library's."""
    file = getattr(sys.modules.get(class_name(cls)[0]), "__file__", None)
    return type(file) is str and is_of_a_library(file)


def text_without_code(value: object) -> str:
    """What a value looks like, as a text by itself."""
    pieces: list[str] = []
    left = _MOST
    for piece in _pieces(value, ()):
        pieces.append(piece[:left])
        left -= len(piece)
        if left <= 0:
            pieces.append("...")
            break
    return "".join(pieces)


def _pieces(value: object, path: tuple[int, ...]) -> Iterator[str]:
    kind = _kind_of(value)
    if kind == "scalar":
        yield _scalar(value)
    elif kind == "enum":
        yield f"{class_name(type(value))[1]}.{vars(enum.Enum)['name'].fget(value)}"
    elif kind == "printed":
        yield repr(value)
    elif kind == "synchronizer":
        yield from _synchronizer(class_name(type(value))[1], state_of(value), (*path, id(value)))
    elif not kind:
        yield f"<{'.'.join(class_name(type(value)))}>"
    elif id(value) in path or len(path) >= _DEEPEST:
        yield "..."
    elif kind == "container":
        yield from _container(value, (*path, id(value)))
    elif kind == "exception":
        yield f"{class_name(type(value))[1]}("
        yield from _joined((("", part) for part in vars(BaseException)["args"].__get__(value)), (*path, id(value)))
        yield ")"
    else:
        yield f"{class_name(type(value))[1]}("
        parts = ((f"{name}=", part) for name, part in _attributes(value))
        yield from _joined(parts, (*path, id(value)))
        yield ")"


def _synchronizer(name: str, state: str | list[Any], path: tuple[int, ...]) -> Iterator[str]:
    if isinstance(state, str):
        yield f"<{name}: {state}>" if state else f"<{name}>"
    else:
        yield f"{name}("
        yield from _pieces(state, path)
        yield ")"


def _scalar(value: Any) -> str:
    cls = type(value)
    if issubclass(cls, int) and cls is not bool:
        return int.__repr__(value) if int.bit_length(value) < 1000 else f"<int of {int.bit_length(value)} bits>"
    for base in (str, bytes, bytearray):
        if issubclass(cls, base):
            return base.__repr__(base.__getitem__(value, slice(0, _MOST)))
    return repr(value)


def _container(value: Any, path: tuple[int, ...]) -> Iterator[str]:
    cls = type(value)
    name = class_name(cls)[1]
    plain = next(base for base in (dict, list, tuple, frozenset, set, deque) if issubclass(cls, base))
    if cls is not plain or plain in (deque, frozenset):
        yield f"{name}("
    if plain is dict:
        yield "{"
        for number, (key, part) in enumerate(list(dict.items(value))):
            yield ", " * (number > 0)
            yield from _pieces(key, path)
            yield ": "
            yield from _pieces(part, path)
        yield "}"
    elif plain in (set, frozenset):
        texts = sorted(text_without_code(part) for part in list(plain.__iter__(value)))
        yield "{" + ", ".join(texts) + "}"
    else:
        yield "(" if plain is tuple else "["
        yield from _joined((("", part) for part in list(plain.__iter__(value))), path)
        yield ("," * (tuple.__len__(value) == 1) + ")") if plain is tuple else "]"
    if cls is not plain or plain in (deque, frozenset):
        yield ")"


def _joined(parts: Iterable[tuple[str, object]], path: tuple[int, ...]) -> Iterator[str]:
    for number, (name, part) in enumerate(parts):
        yield ", " * (number > 0) + name
        yield from _pieces(part, path)
