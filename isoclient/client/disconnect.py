"""How a WebSocket ends, as exceptions."""

from __future__ import annotations

import sys
from functools import cache
from typing import TypeVar

from isoclient.client.response import Response

__all__ = ["WebSocketDenialResponse", "WebSocketDisconnect", "catchable"]


class WebSocketDisconnect(Exception):
    """The WebSocket was closed by the app.

    Where Starlette is imported, what is raised is a ``starlette.websockets.WebSocketDisconnect`` too.

    Args:
        code: the close code (RFC 6455, 7.4).
        reason: the reason given, or an empty string.

    Example:
        >>> WebSocketDisconnect(1008, "no token").code
        1008
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    closed_by = "the app"

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or ""
        Exception.__init__(self, code, self.reason)

    def __str__(self) -> str:
        return f"{self.closed_by} closed the WebSocket with code {self.code}" + (
            f": {self.reason}" if self.reason else ""
        )


class WebSocketDenialResponse(Response, WebSocketDisconnect):
    """The app answered the handshake with an HTTP response (ASGI extension ``websocket.http.response``).

    It is a disconnect with code 1006, and it is the response: ``status_code``, ``headers``, ``content``, ``json()``...
    The ``reason`` is that of the response.
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    def __init__(self, response: Response) -> None:
        Response.__init__(self)
        WebSocketDisconnect.__init__(self, 1006)
        self.__dict__.update(response.__dict__)

    def __str__(self) -> str:
        return f"the app denied the WebSocket with HTTP {self.status_code} {self.reason}"

    def __bool__(self) -> bool:
        return True  # an exception is never false, whatever a response of status 403 is


_Disconnect = TypeVar("_Disconnect", bound=WebSocketDisconnect)


def catchable(kind: type[_Disconnect]) -> type[_Disconnect]:
    """The class to raise, so that ``except`` catches it with the name of Starlette's class, where that can be.

    That is ``starlette.websockets.WebSocketDisconnect``, and for a denial that of ``starlette.testclient``. Neither
    is imported for this: who has not imported it can't have named its class.
    """
    theirs = None
    if issubclass(kind, WebSocketDenialResponse):
        theirs = getattr(sys.modules.get("starlette.testclient"), "WebSocketDenialResponse", None)
    if theirs is None:
        theirs = getattr(sys.modules.get("starlette.websockets"), "WebSocketDisconnect", None)
    return kind if theirs is None else _shared(kind, theirs)  # type: ignore[arg-type,return-value,unused-ignore]


@cache
def _shared(ours: type, theirs: type) -> type:
    names = {"__module__": ours.__module__, "__doc__": ours.__doc__}
    if issubclass(ours, Response):
        # Starlette's denial is a response of httpx, whose properties would take the place of attributes of that name.
        names |= dict.fromkeys(Response.__attrs__)
    return type(ours.__name__, (ours, theirs), names)
