"""One request and its response, in either of the two ways that requests knows: whole, or streamed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import DecodeError

from isoclient.client.raw import READ, Body
from isoclient.client.reraise import reraise
from isoclient.client.response import Response, build_response
from isoclient.client.response_builder import ResponseBuilder
from isoclient.compat.requests_ import CONTENT, IS_CONSUMED, IS_KNOWN
from isoclient.compat.urllib3_ import RawResponse
from isoclient.system.modules import io

if TYPE_CHECKING:
    from isoclient.client.call import Call

__all__ = ["Exchange"]


class Exchange:
    """One request and its response.

    Args:
        call: the call of the app, just begun.
        request: the request.
        adapter: the adapter that it came through.
        raises: whether the app's exceptions are raised. If not, what has come of the response is the response; where
            nothing has, an empty one of status 500.
    """

    def __init__(self, call: Call, request: requests.PreparedRequest, adapter: Any, *, raises: bool) -> None:
        self._call = call
        self._request = request
        self._adapter = adapter
        self._raises = raises
        self._parts = ResponseBuilder()
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
        self._check_end()
        return self._filled(content)

    def _content(self) -> bytes:
        content = b""
        gathered: io.BytesIO | None = None
        for piece in self._pieces():
            if gathered is not None:
                gathered.write(piece)
            elif not content:
                content = piece
            elif piece:
                # Not a list that is joined at the end: a piece that is dropped leaves its memory, warm, to the next.
                gathered = io.BytesIO()
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

    def _filled(self, content: bytes) -> Response:
        status, headers = self._parts.head
        if not IS_KNOWN:
            return self._build(RawResponse(self._request, status, headers, Body.of(content)))
        response = self._build(RawResponse(self._request, status, headers, READ, len(content)))
        if "content-encoding" in response.headers:
            content = _decoded(RawResponse(self._request, status, headers, Body.of(content)))
        # What Response.content does at its first use; here the body is whole already.
        own = vars(response)
        own[CONTENT], own[IS_CONSUMED] = content, True
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
                self._check_end()
                return self._filled(b"")
            self._parts.take(message)
        status, headers = self._parts.head
        body = Body(self._next_streamed, self._leave, self._call.abandon, insists=self._raises)
        response = self._build(RawResponse(self._request, status, headers, body))
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
            error = self._check_end()
            if not self._parts.complete:
                raise _broken_off(error)
        return piece

    def _check_end(self) -> BaseException | None:
        """Wait for the end of the app's call; return the exception of the app, if it is not to be raised."""
        error = self._call.end()
        if error is not None and self._raises:
            reraise(error)
        if error is None and not self._parts.complete:
            raise _broken_off(None)
        return error

    def _leave(self) -> None:
        """The user closes the response before its end: so the app learns of it, and its end is waited for."""
        try:
            self._call.cancel()
            error = self._call.end()
        except requests.ConnectionError:
            if self._call.client_is_closed:
                return  # which is no news to somebody who leaves
            raise
        if error is not None and self._raises:
            reraise(error)


def _broken_off(error: BaseException | None) -> ChunkedEncodingError:
    """What a client of a server gets of an app that fails amid its response; or of one that was ended by a close."""
    if error is None:
        return ChunkedEncodingError("the client was closed before the end of the response")
    broken_off = ChunkedEncodingError(f"the app failed before the end of its response: {error!r}")
    broken_off.__cause__ = error
    return broken_off


def _decoded(raw: RawResponse) -> bytes:
    try:
        return raw.read(decode_content=True)
    except DecodeError as error:
        raise ContentDecodingError(error) from error


def _nothing() -> None:
    return None
