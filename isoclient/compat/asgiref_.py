"""asgiref: the marks that it gives to apps."""

from __future__ import annotations

__all__ = ["is_double_callable"]


def is_double_callable(app: object) -> bool:
    """Whether it says that an app is in the style of ASGI 2, whatever arguments it may take.

    Example:
        >>> is_double_callable(lambda scope: None)
        False
    """
    return bool(getattr(app, "_asgi_double_callable", False))
