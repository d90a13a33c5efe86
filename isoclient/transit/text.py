"""Texts of objects that may refuse to be put into words."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["class_name", "qualified_name", "shortened", "text_of"]

# The names as the interpreter knows them: a class may define attributes that hide them, but not these.
_QUALNAME = vars(type)["__qualname__"]
_MODULE = vars(type)["__module__"]


def class_name(cls: type) -> tuple[str, str]:
    """The module and the qualified name of a class, both plain strings, whatever the class says."""
    module = _MODULE.__get__(cls)
    return (str.__str__(module) if isinstance(module, str) else "?"), str.__str__(_QUALNAME.__get__(cls))


def qualified_name(cls: type) -> str:
    """The name of a class as a traceback shows it: without its module if that is ``builtins``.

    Example:
        >>> qualified_name(ValueError)
        'ValueError'
    """
    module, qualname = class_name(cls)
    return qualname if module in ("builtins", "__main__") else f"{module}.{qualname}"


def text_of(obj: object, how: Callable[[object], str], limit: int) -> str:
    """``how(obj)``, where ``how`` is :class:`str` or :func:`repr`, in at most ``limit`` characters. Never raises.

    Example:
        >>> text_of([1, 2, 3], repr, limit=100)
        '[1, 2, 3]'
    """
    try:
        # A subclass of str may come back, with methods of its own; str.__str__ makes it a plain one.
        return shortened(str.__str__(how(obj)), limit)
    except BaseException as error:  # a __repr__ may raise SystemExit, and must not end the app
        return f"<{qualified_name(type(obj))} object: {how.__name__}() raised {class_name(type(error))[1]}>"


def shortened(text: str, limit: int) -> str:
    """``text``, with what is beyond ``limit`` characters replaced by a count."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit:,} more characters)"
