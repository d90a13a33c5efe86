"""The errors that both processes know.

The app's process may not import :mod:`requests`, on which the client's errors are based.
"""

from __future__ import annotations

__all__ = [
    "AppNotFound",
    "AppProtocolError",
    "ClientDisconnected",
    "IsolationWarning",
    "NotAnApp",
    "ObjectNotLoadable",
    "ObjectNotSendable",
]


class AppProtocolError(RuntimeError):
    """The app broke the ASGI protocol.

    It is raised in the app, at the ``send`` (or ``receive``) that broke it, with a text that names the message and the
    state of the stream; and in the test, when the app returned without having finished its response.

    It is a :class:`RuntimeError`, as it is under uvicorn and hypercorn.

    Example:
        >>> raise AppProtocolError("the app returned without sending a response")
        Traceback (most recent call last):
            ...
        isoclient.AppProtocolError: the app returned without sending a response
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


class NotAnApp(TypeError):
    """What was given as the app is none: not an ASGI callable, and not an import string."""

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


class AppNotFound(ImportError):
    """An import string names a module or an attribute that is not there."""

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


class ClientDisconnected(OSError):
    """The client is gone: what ``send`` raises then (ASGI HTTP 2.4, "Disconnected Client")."""

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


class ObjectNotSendable(TypeError):
    """An object cannot be sent to the other process. The text names the part that cannot, and what to do.

    Example:
        >>> import threading
        >>> from isoclient import TestClient
        >>> async def app(scope, receive, send): ...
        >>> with TestClient(app, isolated=True) as client:
        ...     client.call(threading.Lock)
        Traceback (most recent call last):
            ...
        isoclient.ObjectNotSendable: ...
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


class ObjectNotLoadable(Exception):
    """An object came over the pipe, but this process cannot rebuild it. ``__cause__`` is what stopped it.

    Example:
        >>> from isoclient import TestClient
        >>> async def app(scope, receive, send): ...
        >>> def of_a_module_of_its_own():
        ...     import sys, types
        ...     sys.modules["shop"] = types.ModuleType("shop")
        ...     exec("class Book: pass", vars(sys.modules["shop"]))
        ...     return sys.modules["shop"].Book()
        >>> with TestClient(app, isolated=True) as client:
        ...     client.call(of_a_module_of_its_own)
        Traceback (most recent call last):
            ...
        isoclient.ObjectNotLoadable: ...
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows


class IsolationWarning(UserWarning):
    """What the test has changed is not seen by the app, which runs in a process of its own and has begun already.

    It names the change, the line of the test, why it can't be carried over, and what to do. As any warning it can be
    made an error, or ignored: ``-W error::isoclient.IsolationWarning``.

    Example:
        >>> issubclass(IsolationWarning, UserWarning)
        True
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows
