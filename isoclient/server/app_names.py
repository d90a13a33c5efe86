"""How an app is named, and where in the sources it is, as far as that can be seen without running any of its code."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any, Final

from isoclient.transit.libraries import Spot, is_of_a_library
from isoclient.transit.places import place_of

__all__ = ["name_of_app", "spot_of_app"]

_DEEPEST: Final = 20


def name_of_app(app: object) -> str:
    """A short name: where it can be imported from, as far as that can be seen. None of the app's code runs.

    Example:
        >>> name_of_app("shop.main:app"), name_of_app(name_of_app), name_of_app([])
        ('shop.main:app', 'isoclient.server.app_names:name_of_app', 'builtins:list')
    """
    if isinstance(app, str):
        return app
    if isinstance(app, type | FunctionType):
        return f"{app.__module__}:{app.__qualname__}"
    return str(place_of(app) or f"{type(app).__module__}:{type(app).__qualname__}")


def spot_of_app(app: object, scope: object) -> Spot | None:
    """Where the code begins that has handled this scope; None if that is all of libraries.

    That is what a router has put into the scope, such as an endpoint, if there is some of somebody's own; or the app.

    Example:
        >>> async def app(scope, receive, send): ...
        >>> spot_of_app(app, {"type": "http"}).function
        'app'
        >>> spot_of_app(print, {"type": "http"}) is None
        True
    """
    handled_by = [*scope.values()] if isinstance(scope, Mapping) else []
    for candidate in (*reversed(handled_by), app):
        spot = _spot_of(candidate)
        if spot is not None and not is_of_a_library(spot.file):
            return spot
    return None


def _spot_of(thing: object) -> Spot | None:
    for part in _unwrapped(thing):
        if isinstance(part, FunctionType):
            code = part.__code__
            return Spot(code.co_filename, code.co_firstlineno, code.co_name)
    return None


def _unwrapped(thing: Any) -> Iterator[object]:
    """What is called in the end: of wrappers, methods and instances of classes."""
    for _ in range(_DEEPEST):
        if isinstance(thing, functools.partial):
            thing = thing.func
        elif isinstance(thing, MethodType):
            thing = thing.__func__
        elif isinstance(thing, FunctionType):
            wrapped = vars(thing).get("__wrapped__")
            if wrapped is None:
                yield thing
                return
            thing = wrapped
        elif isinstance(thing, type) or (call := _static(type(thing), "__call__")) is None:
            return
        else:
            thing = call


def _static(cls: type, name: str) -> object:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
