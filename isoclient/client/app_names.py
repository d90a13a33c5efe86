"""What to call an app."""

from __future__ import annotations

from types import FunctionType

from isoclient.transit.places import place_of

__all__ = ["name_of_app"]


def name_of_app(app: object) -> str:
    """A short name: where it can be imported from, as far as that can be seen. None of the app's code runs.

    Example:
        >>> name_of_app("shop.main:app"), name_of_app(name_of_app), name_of_app([])
        ('shop.main:app', 'isoclient.client.app_names:name_of_app', 'builtins:list')
    """
    if isinstance(app, str):
        return app
    if isinstance(app, type | FunctionType):
        return f"{app.__module__}:{app.__qualname__}"
    return str(place_of(app) or f"{type(app).__module__}:{type(app).__qualname__}")
