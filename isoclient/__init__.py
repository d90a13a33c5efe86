"""A test client for ASGI apps, based on :mod:`requests`, that can run the app in a process of its own.

Example:
    >>> from isoclient import TestClient
    >>> async def app(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 200})
    ...     await send({"type": "http.response.body", "body": b"Hello"})
    >>> TestClient(app, isolated=True).get("/").text
    'Hello'
"""

from __future__ import annotations

import socket as _socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isoclient.client.client import TestClient
    from isoclient.client.isolated_app import IsolatedApp, isolate
    from isoclient.client.patching import AppPatch
    from isoclient.client.request_errors import AppCrashed, AppStartupError, AppTimeout
    from isoclient.client.response import Response
    from isoclient.client.websocket_session import WebSocketDenialResponse, WebSocketDisconnect, WebSocketSession
    from isoclient.errors import (
        AppNotFound,
        AppProtocolError,
        ClientDisconnected,
        IsolationWarning,
        NotAnApp,
        ObjectNotLoadable,
        ObjectNotSendable,
    )
    from isoclient.leaks.found import Leak
    from isoclient.server.hooks import at_end, at_start
    from isoclient.server.limits import Limits
    from isoclient.transit import ExceptionStandIn, StandIn

__version__ = "0.1.0"

__all__ = [
    "AppCrashed",
    "AppNotFound",
    "AppPatch",
    "AppProtocolError",
    "AppStartupError",
    "AppTimeout",
    "ClientDisconnected",
    "ExceptionStandIn",
    "IsolatedApp",
    "IsolationWarning",
    "Leak",
    "Limits",
    "NotAnApp",
    "ObjectNotLoadable",
    "ObjectNotSendable",
    "Response",
    "StandIn",
    "TestClient",
    "WebSocketDenialResponse",
    "WebSocketDisconnect",
    "WebSocketSession",
    "at_end",
    "at_start",
    "isolate",
]

_HOMES = {
    "TestClient": "client.client",
    "WebSocketDenialResponse": "client.websocket_session",
    "WebSocketDisconnect": "client.websocket_session",
    "AppCrashed": "client.request_errors",
    "AppStartupError": "client.request_errors",
    "AppTimeout": "client.request_errors",
    "AppPatch": "client.patching",
    "IsolatedApp": "client.isolated_app",
    "isolate": "client.isolated_app",
    "Response": "client.response",
    "WebSocketSession": "client.websocket_session",
    "AppNotFound": "errors",
    "AppProtocolError": "errors",
    "ClientDisconnected": "errors",
    "IsolationWarning": "errors",
    "NotAnApp": "errors",
    "ObjectNotLoadable": "errors",
    "ObjectNotSendable": "errors",
    "Leak": "leaks.found",
    "Limits": "server.limits",
    "at_end": "server.hooks",
    "at_start": "server.hooks",
    "ExceptionStandIn": "transit",
    "StandIn": "transit",
}

_FOUND: dict[str, dict[str, Any]] = {
    name: vars(sys.modules[name]).copy()
    for name in (
        *("builtins", "fcntl", "genericpath", "io", "json", "os", "os.path", "pickle"),
        *("select", "signal", "tempfile", "threading", "time"),
    )
    if name in sys.modules
}
"""The system before any test has patched it; what :mod:`isoclient.system.modules` is made of, when that is needed."""
_FOUND["socket"] = vars(_socket).copy()  # which not every pytest has imported before a plugin patches it


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: the app's process, which imports the server, must not import requests."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
