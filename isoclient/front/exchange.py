"""One request and its response, in either of the two ways that requests knows: whole, or streamed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import DecodeError

from isoclient.front.parts import Parts
from isoclient.front.reraise import reraise
from isoclient.front.response import Headers, RawResponse, Response, build_response
from isoclient.link.errors import AppProtocolError

if TYPE_CHECKING:
    from isoclient.front.call import Call

__all__ = ["Exchange"]

_ERROR_BODY: Final = b"Internal Server Error"
_ERROR_HEADERS: Final[Headers] = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_ERROR_BODY)),
]


class Exchange:
    """One request and its response.

    Args:
        call: the call of the app, just begun.
        request: the request.
        adapter: the adapter that it came through.
        raises: whether the app's exceptions are raised, or made the response 500 of a server.
    """

    def __init__(self, call: Call, request: requests.PreparedRequest, adapter: Any, *, raises: bool) -> None:
        self._call = call
        self._request = request
        self._adapter = adapter
        self._raises = raises
        self._parts = Parts()
        self._response: Callable[[], Response | None] = _nothing

    def upload(self, messages: Iterator[dict[str, Any]]) -> None:
        """Send the body of the request, or as much of it as the app takes before it ends."""
        for message in messages:
            if not self._call.send(message):
                return

    # -- whole

    def whole(self) -> Response:
        """The response, when the app's call has ended."""
        content = self._content()
        error = self._call.end()
        if error is not None and (self._raises or not self._parts.complete):
            return self._failed(error)
        if self._parts.start is None or not self._parts.complete:
            raise _broken_off()
        return self._filled(self._parts.start["status"], self._parts.start["headers"], content)

    def _content(self) -> bytes:
        content = b""
        gathered: BytesIO | None = None
        for piece in self._pieces():
            if gathered is not None:
                gathered.write(piece)
            elif not content:
                content = piece
            elif piece:
                # Not a list that is joined at the end: a piece that is dropped leaves its memory, warm, to the next.
                gathered = BytesIO()
                gathered.write(content)
                gathered.write(piece)
        return content if gathered is None else gathered.getvalue()

    def _pieces(self) -> Iterator[bytes]:
        while messages := self._call.receive_all():
            for message in messages:
                piece = self._parts.take(self._opened(message))
                if piece is not None:
                    yield piece

    def _next_piece(self) -> bytes | None:
        while (message := self._receive()) is not None:
            piece = self._parts.take(message)
            if piece is not None:
                return piece
        return None

    def _receive(self) -> dict[str, Any] | None:
        message = self._call.receive()
        return message if message is None else self._opened(message)

    def _opened(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "http.response.debug":
            message["info"] = self._call.codec.unpack_debug(message["info"])
        return message

    def _failed(self, error: BaseException) -> Response:
        """What a client gets when the app fails: 500, or, when it is too late for that, a body that breaks off."""
        if self._raises:
            reraise(error)
        if self._parts.has_body:
            raise ChunkedEncodingError(f"the app failed before the end of its response: {error!r}") from error
        return self._filled(500, _ERROR_HEADERS, _ERROR_BODY if self._request.method != "HEAD" else b"")

    def _filled(self, status: int, headers: Headers, content: bytes) -> Response:
        pieces = iter((content,))
        raw = RawResponse(status, headers, lambda: next(pieces, None), _nothing, _nothing)
        response = self._build(raw)
        if "content-encoding" in response.headers:
            content = _decoded(raw)
        # What Response.content does at its first use; here the body is whole already.
        response._content = content
        response._content_consumed = True  # type: ignore[attr-defined]
        raw.exhaust()
        return response

    def _build(self, raw: RawResponse) -> Response:
        response = build_response(self._request, raw, self._adapter)
        self._parts.decorate(response)
        return response

    # -- streamed

    def streamed(self) -> Response:
        """The response, when it has started; its body comes as it is read."""
        while self._parts.start is None:
            message = self._receive()
            if message is None:
                return self._failed(self._call.end() or AppProtocolError("the app ended without a response"))
            self._parts.take(message)
        start = self._parts.start
        raw = RawResponse(start["status"], start["headers"], self._next_streamed, self._leave, self._call.abandon)
        response = self._build(raw)
        # Not to be kept by what it keeps: a response that is dropped should go at once, and the client with it.
        self._response = weakref.ref(response)
        return response

    def _next_streamed(self) -> bytes | None:
        piece = self._next_piece()
        self._call.sync_output()
        if piece is None:
            response = self._response()
            if response is not None:
                self._parts.decorate(response)  # with what came behind the body
            error = self._call.end()
            if error is not None and (self._raises or not self._parts.complete):
                self._failed(error)
            if not self._parts.complete:
                raise _broken_off()
        return piece

    def _leave(self) -> None:
        """The user closes the response before its end: so the app learns of it, and its end is waited for."""
        self._call.cancel()
        error = self._call.end()
        if error is not None and self._raises:
            reraise(error)


def _broken_off() -> ChunkedEncodingError:
    """No failure of the app: the client was closed, here or by another thread."""
    return ChunkedEncodingError("the client was closed before the end of the response")


def _decoded(raw: RawResponse) -> bytes:
    try:
        return raw.read(decode_content=True)
    except DecodeError as error:
        raise ContentDecodingError(error) from error


def _nothing() -> None:
    return None
