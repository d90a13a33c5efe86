"""What is an app, and in which of ASGI's two styles does it want to be called?"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from isoclient.compat.asgiref_ import is_double_callable
from isoclient.errors import AppNotFound, NotAnApp

if TYPE_CHECKING:
    import inspect

__all__ = ["ASGIApp", "check_app", "check_import_string", "import_app", "single_callable"]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ASGIApp = Callable[[dict[str, Any], Receive, Send], Awaitable[object]]


def check_app(app: object) -> None:
    """See that an object can be called as ASGI 3 or ASGI 2 has it.

    Raises:
        NotAnApp: a :class:`TypeError` that says what it is instead.

    Example:
        >>> check_app(print("an app?"))
        Traceback (most recent call last):
            ...
        isoclient.NotAnApp: None is not an ASGI app: it can't be called. Pass the app itself, ...
    """
    if not callable(app):
        raise NotAnApp(
            f"{_short(app)} is not an ASGI app: it can't be called. "
            'Pass the app itself, or where it is to be imported from as "package.module:attribute".'
        )
    if not _takes(app, 3) and not _takes(app, 1):
        raise NotAnApp(
            f"{_short(app)} is not an ASGI app: it takes neither (scope, receive, send), as ASGI 3 has it, nor "
            f"(scope), as ASGI 2 has it, but {_signature(app)}.{_advice(app)}"
        )


def check_import_string(text: str) -> None:
    """See that an import string has its two parts; nothing is imported.

    Raises:
        NotAnApp: it has not.

    Example:
        >>> check_import_string("shop.main:app")
    """
    module, colon, attribute = text.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise NotAnApp(
            f'{text!r} does not say where the app is: write "package.module:attribute", such as "shop.main:app".'
        )


def import_app(text: str) -> object:
    """Import the app, or the factory of one, that ``"package.module:attribute"`` names.

    Raises:
        AppNotFound: there is no such module or attribute; the text says which part is wrong.
        Exception: whatever the module raises.
    """
    check_import_string(text)
    module_name, _, path = text.partition(":")
    found: Any = _import_module(module_name, text)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AppNotFound(f"{text!r}: {_short(found)} has no attribute {name!r}.") from None
    return found


def _import_module(name: str, text: str) -> object:
    try:
        __import__(name)  # which leaves no frames of Python's own in the traceback of what the module raises
        return sys.modules[name]
    except ModuleNotFoundError as error:
        # A module that exists, but that imports one which does not, is the app's own error.
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        raise AppNotFound(
            f"{text!r}: there is no module {error.name!r} on sys.path. Is the name right, and is the package installed "
            "or its directory on the path (pytest's `pythonpath` setting)?"
        ) from None


def single_callable(app: Any) -> ASGIApp:
    """The app in the style of ASGI 3, whichever it has.

    Where both would do (``*args``), it is ASGI 3.

    Example:
        >>> class App:                          # ASGI 2: an instance for each connection
        ...     def __init__(self, scope): ...
        ...     async def __call__(self, receive, send): ...
        >>> single_callable(App) is App
        False
    """
    if is_double_callable(app) or not _takes(app, 3):

        async def double(scope: dict[str, Any], receive: Receive, send: Send) -> object:
            return await app(scope)(receive, send)

        return double
    return app  # type: ignore[no-any-return]


def _takes(app: Callable[..., object], count: int) -> bool:
    if _plainly_takes(app, count):
        return True
    try:
        _signature(app).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a callable written in C that tells nothing of its signature
        return count == 3
    return True


def _plainly_takes(app: Callable[..., object], count: int) -> bool:
    """Whether that can be seen right away, as of most apps; a signature takes longer than to fork a process."""
    if hasattr(app, "__signature__") or hasattr(app, "__wrapped__"):
        return False
    function = app if isinstance(app, FunctionType) else _static(type(app), "__call__")
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return False
    code = function.__code__
    return code.co_kwonlyargcount == 0 and code.co_argcount == (count if function is app else count + 1)


def _static(cls: type, name: str) -> object:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _signature(app: Callable[..., object]) -> inspect.Signature:
    import inspect  # which is large, and imported by whoever has an app

    if sys.version_info >= (3, 14):
        # Annotations are evaluated there, and may name what was imported for type checkers alone (PEP 649).
        import annotationlib

        return inspect.signature(app, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(app)


def _advice(app: Callable[..., object]) -> str:
    if _takes(app, 2):
        return " Is it a WSGI app? Wrap it in a WSGI adapter, such as a2wsgi's or asgiref's."
    if _takes(app, 0):
        return " Is it a factory? Pass what it returns, or an import string with factory=True."
    return ""


def _short(thing: object) -> str:
    try:
        text = repr(thing)
    except Exception:
        text = object.__repr__(thing)
    return text if len(text) <= 120 else text[:117] + "..."
