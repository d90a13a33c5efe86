"""What to call an app."""

from __future__ import annotations

from types import FunctionType

__all__ = ["name_of_app"]


def name_of_app(app: object) -> str:
    """A short name; whatever the app is, asking for it runs none of its code.

    Example:
        >>> name_of_app("shop.main:app"), name_of_app(name_of_app)
        ('shop.main:app', 'isoclient.front.names.name_of_app')
    """
    if isinstance(app, str):
        return app
    named = app if isinstance(app, type | FunctionType) else type(app)
    return f"{getattr(named, '__module__', '?')}.{getattr(named, '__qualname__', '?')}"
