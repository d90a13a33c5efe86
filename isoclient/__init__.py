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
    from isoclient.front.client import TestClient
    from isoclient.front.disconnect import WebSocketDenialResponse, WebSocketDisconnect
    from isoclient.front.errors import AppCrashed, AppStartupError, AppTimeout
    from isoclient.front.patching import AppPatch
    from isoclient.front.response import Response
    from isoclient.front.websocket import WebSocketSession
    from isoclient.link.errors import (
        AppNotFound,
        AppProtocolError,
        ClientDisconnected,
        NotAnApp,
        ObjectNotLoadable,
        ObjectNotSendable,
    )
    from isoclient.link.limits import Limits
    from isoclient.link.transit import ExceptionStandIn, StandIn

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
]

_HOMES = {
    "TestClient": "front.client",
    "WebSocketDenialResponse": "front.disconnect",
    "WebSocketDisconnect": "front.disconnect",
    "AppCrashed": "front.errors",
    "AppStartupError": "front.errors",
    "AppTimeout": "front.errors",
    "AppPatch": "front.patching",
    "Response": "front.response",
    "WebSocketSession": "front.websocket",
    "AppNotFound": "link.errors",
    "AppProtocolError": "link.errors",
    "ClientDisconnected": "link.errors",
    "NotAnApp": "link.errors",
    "ObjectNotLoadable": "link.errors",
    "ObjectNotSendable": "link.errors",
    "Limits": "link.limits",
    "ExceptionStandIn": "link.transit",
    "StandIn": "link.transit",
}

_FOUND: dict[str, dict[str, Any]] = {
    name: vars(sys.modules[name]).copy()
    for name in (
        *("builtins", "fcntl", "genericpath", "io", "json", "os", "os.path", "pickle"),
        *("select", "signal", "tempfile", "threading", "time"),
    )
    if name in sys.modules
}
"""The system before any test has patched it; what :mod:`isoclient.link.system` is made of, when that is needed."""
_FOUND["socket"] = vars(_socket).copy()  # which not every pytest has imported before a plugin patches it


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: the app's process, which imports the host, must not import requests."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
