"""The WebSocket session: what a browser would have in its hands, without the ``await``; its ends, as exceptions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

import requests

from isoclient.client.call import Call, reraise, shows_app_errors
from isoclient.client.response import Body, Response, build_response
from isoclient.compat.urllib3_ import Headers, RawResponse
from isoclient.system.modules import json

__all__ = ["WebSocketDenialResponse", "WebSocketDisconnect", "WebSocketSession"]

Message = dict[str, Any]


class WebSocketSession:
    """A WebSocket of the app, accepted. Made by :meth:`isoclient.TestClient.websocket_connect`.

    It is to be used in a ``with`` block. Leaving the block closes it, waits for the end of the app's call, and raises
    what the app raised.

    Attributes:
        accepted_subprotocol: the one that the app chose (str), or None.
        extra_headers: those that the app added to its acceptance (list of pairs of bytes).

    Example:
        >>> from isoclient import TestClient
        >>> async def echo(scope, receive, send):
        ...     await receive()
        ...     await send({"type": "websocket.accept"})
        ...     message = await receive()
        ...     await send({"type": "websocket.send", "text": message["text"]})
        >>> with TestClient(echo).websocket_connect("/") as websocket:
        ...     websocket.send_text("hello")
        ...     websocket.receive_text()
        'hello'
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    def __init__(self, call: Call, scope: dict[str, Any], request: requests.PreparedRequest, *, raises: bool) -> None:
        self._scope = scope
        self.accepted_subprotocol: str | None = None
        self.extra_headers: Headers = []
        self._call = call
        self._request = request
        self._raises = raises
        self._closed: WebSocketDisconnect | None = None
        self._told = False  # the app's exception has been raised already
        self._handshake()
        call.outlives_timeouts = True  # who waits for silence, and gets it, may go on

    @property
    def scope(self) -> dict[str, Any]:
        """The scope of the app, with what the app and its middleware have put there.

        In-process it is the app's own. From another process, what has been put there comes with the messages of the
        app, and at its end: plain values, as ASGI's messages may hold, up to 64 KiB each; others are left out, and so
        is the lifespan's state (see :attr:`TestClient.app_state`).
        """
        self._scope.update(self._call.scope)
        return self._scope

    # -- the handshake

    def _handshake(self) -> None:
        try:
            message = self._call.receive()
            if message is None:
                self._refuse_without_answer()
            elif message["type"] == "websocket.accept":
                self.accepted_subprotocol = message["subprotocol"]
                self.extra_headers = message["headers"]
                self._call.sync_output()
            elif message["type"] == "websocket.close":
                self._call.doing = "ending a WebSocket that it has refused"
                # The refusal is the answer, as it is for a browser, whatever becomes of the app behind it.
                raise _catchable(WebSocketDisconnect)(message["code"], message["reason"]) from self._call.end()
            else:
                self._denied(message)
        except BaseException:
            self._call.abandon()
            raise

    def _refuse_without_answer(self) -> None:
        error = self._call.end()
        if error is not None and self._raises:
            reraise(error)
        raise self._denial(500, [(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error") from error

    def _denied(self, start: Message) -> None:
        pieces = []
        while (message := self._call.receive()) is not None:
            pieces.append(message["body"])
        self._raise_end()
        raise self._denial(start["status"], start["headers"], b"".join(pieces))

    def _denial(self, status: int, headers: Headers, content: bytes) -> WebSocketDenialResponse:
        raw = RawResponse(self._request, status, headers, Body.of(content))
        response = build_response(self._request, raw, None)
        return _catchable(WebSocketDenialResponse)(response)

    # -- sending

    @shows_app_errors
    def send(self, message: Message) -> None:
        """Send an ASGI message as it is: ``{"type": "websocket.receive", "text": ...}``.

        Raises:
            AppCrashed: the app's process ended meanwhile.
            AppTimeout: nothing came from the app within the timeout.
        """
        # After the app's close there is nobody to read it; that is told by the next receive, as on a network.
        try:
            self._call.send(message)
        except requests.RequestException:
            self._told = self._call.lost
            raise

    @shows_app_errors
    def send_text(self, data: str) -> None:
        """Send a text message."""
        self.send({"type": "websocket.receive", "text": data})

    @shows_app_errors
    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self.send({"type": "websocket.receive", "bytes": data})

    @shows_app_errors
    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send a value as JSON, in a text or in a binary message."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        if _checked(mode) == "text":
            self.send_text(text)
        else:
            self.send_bytes(text.encode())

    # -- receiving

    @shows_app_errors
    def receive(self, timeout: float | None = None) -> Message:
        """Wait for the next ASGI message of the app: ``websocket.send`` or ``websocket.close``.

        Args:
            timeout: how long to wait, in seconds; None for the client's timeout.

        Raises:
            AppCrashed: the app's process ended meanwhile.
            AppTimeout: nothing came from the app within the timeout.
            BaseException: the app's own, when it has raised.
        """
        if self._closed is not None:
            raise self._closed
        try:
            message = self._call.receive(timeout)
        except requests.RequestException:
            self._told = self._call.lost
            raise
        self._call.sync_output()
        if message is None:
            error = self._call.end()
            if error is not None and self._raises:
                self._told = True
                reraise(error)
            # An app that returns closes the socket in order; one that raises, with "internal error" (RFC 6455, 7.4.1).
            return {"type": "websocket.close", "code": 1000 if error is None else 1011, "reason": ""}
        return message

    def _receive_data(self, timeout: float | None) -> Message:
        message = self.receive(timeout)
        if message["type"] == "websocket.close":
            self._closed = _catchable(WebSocketDisconnect)(message["code"], message["reason"])
            raise self._closed
        return message

    @shows_app_errors
    def receive_text(self, timeout: float | None = None) -> str:
        """Wait for a text message.

        Raises:
            WebSocketDisconnect: the app has closed the WebSocket.
            TypeError: the message is a binary one.
        """
        return cast(str, _content(self._receive_data(timeout), "text"))

    @shows_app_errors
    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for a binary message.

        Raises:
            WebSocketDisconnect: the app has closed the WebSocket.
            TypeError: the message is a text.
        """
        return cast(bytes, _content(self._receive_data(timeout), "bytes"))

    @shows_app_errors
    def receive_json(self, mode: Literal["text", "binary"] = "text", timeout: float | None = None) -> Any:
        """Wait for a message with JSON in it, in a text or in a binary message."""
        if _checked(mode) == "text":
            return json.loads(self.receive_text(timeout))
        return json.loads(self.receive_bytes(timeout))

    def __iter__(self) -> Iterator[str | bytes]:
        """The content of the messages, until the app closes the WebSocket."""
        while True:
            try:
                message = self._receive_data(None)
            except WebSocketDisconnect:
                return
            yield message["text"] if message["text"] is not None else message["bytes"]

    # -- the end

    @shows_app_errors
    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the WebSocket from the client's side: the app gets ``websocket.disconnect``. Idempotent.

        Args:
            code: the close code (RFC 6455, 7.4).
            reason: a text for the app.
        """
        self._close(code, reason, hold=False)

    def _close(self, code: int, reason: str | None, *, hold: bool) -> None:
        if not self._call.ended and self._closed is None:
            self._call.send({"type": "websocket.disconnect", "code": code, "reason": reason or ""}, hold=hold)
            self._closed = _catchable(WebSocketDisconnect)(code, reason)
            self._closed.closed_by = "the test"

    def __enter__(self) -> Self:
        return self

    @shows_app_errors
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._told:
            self._call.abandon()
            return
        try:
            self._close(1000, None, hold=True)
            self._call.cancel(late=isinstance(error, requests.ReadTimeout))
            self._raise_end()
        except BaseException as ending:
            if isinstance(ending, requests.ConnectionError) and self._call.client_is_closed:
                return  # which is no news to somebody who leaves
            # What failed inside the block comes first, unless it is only the disconnect that the app's failure caused.
            if error is None or isinstance(error, WebSocketDisconnect):
                raise
            error.add_note(f"While this was raised, the end of the WebSocket failed too: {ending!r}")

    def _raise_end(self) -> None:
        error = self._call.end()
        if error is not None and self._raises:
            reraise(error)


def _content(message: Message, key: str) -> str | bytes:
    content = message[key]
    if content is None:
        other = "bytes" if key == "text" else "text"
        raise TypeError(
            f"expected a {key} message, the app sent {other}: {message[other]!r:.80}; use receive_{other}()"
        )
    return content  # type: ignore[no-any-return]


def _checked(mode: str) -> str:
    if mode not in ("text", "binary"):
        raise ValueError(f"mode is {mode!r}; it is 'text' or 'binary'")
    return mode


# -- its end


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


def _catchable(kind: type[_Disconnect]) -> type[_Disconnect]:
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
