"""Whether an app has a lifespan that its author has written."""

from __future__ import annotations

from types import FunctionType
from typing import Any, Final

__all__ = ["has_lifespan"]

_FRAMEWORKS: Final = frozenset({"starlette", "fastapi"})


def has_lifespan(app: object) -> bool:
    """Whether that is known of it, without calling anything: of an app of Starlette's or FastAPI's.

    Those without have one that their framework has made, and those that include routers one that is made of several.
    """
    router = _own(app, "router")
    handlers = _own(router, "on_startup") or _own(router, "on_shutdown")
    return bool(type(handlers) is list and handlers) or _is_written(_own(router, "lifespan_context"))


def _own(thing: object, name: str) -> Any:
    try:
        return object.__getattribute__(thing, "__dict__").get(name)
    except AttributeError:
        return None


def _is_written(context: Any) -> bool:
    if context is None:
        return False
    if not isinstance(context, FunctionType):
        return not _is_of_framework(type(context))
    function = getattr(context, "__wrapped__", context)
    if not _is_of_framework(function):
        return True
    return any(_is_written(cell.cell_contents) for cell in function.__closure__ or ())


def _is_of_framework(made: Any) -> bool:
    return str(made.__module__).partition(".")[0] in _FRAMEWORKS
