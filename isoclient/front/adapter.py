"""The transport adapter of requests: a prepared request in, a call of the app, a response out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import DecodeError

from isoclient.front import body
from isoclient.front.call import Call
from isoclient.front.response import Headers, RawResponse, Response, build_response
from isoclient.front.runner import AppRunner
from isoclient.front.scope import http_scope
from isoclient.front.timeout import read_timeout
from isoclient.link.errors import AppProtocolError

__all__ = ["ASGIAdapter"]

_ERROR_HEADERS: Headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")]
_ERROR_BODY = b"Internal Server Error"


class ASGIAdapter(BaseAdapter):
    """Sends requests to an app.

    Args:
        runner: runs the app.
        raises: whether the app's exceptions are raised here, or made the response 500 of a server.
        root_path: of the scope.
        client: of the scope.
    """

    def __init__(self, runner: AppRunner, *, raises: bool, root_path: str, client: tuple[str, int]) -> None:
        super().__init__()
        self._runner = runner
        self._raises = raises
        self._root_path = root_path
        self._client = client

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request; return when the app's call has ended, or, with ``stream``, at the response's start.

        Raises:
            AppCrashed, AppTimeout, AppStartupError: see there.
            BaseException: the app's own.
        """
        exchange = Exchange(self, request, timeout)
        return exchange.streamed() if stream else exchange.whole()

    def close(self) -> None:
        """The client ends the app, not its adapter."""

    def call(self, request: requests.PreparedRequest, messages: Iterator[dict[str, Any]], timeout: Any) -> Call:
        """Begin the call of the app for this request."""
        scope = http_scope(request, self._root_path, self._client)
        first = next(messages) if isinstance(request.body, str | bytes | None) else None
        return self._runner.open(
            "http",
            scope,
            () if first is None else (first,),
            doing=f"handling {request.method} {scope['path']}",
            timeout=read_timeout(timeout, self._runner.timeout),
            request=request,
        )


class Exchange:
    """One request and its response."""

    def __init__(self, adapter: ASGIAdapter, request: requests.PreparedRequest, timeout: Any) -> None:
        self._adapter = adapter
        self._request = request
        self._start: dict[str, Any] | None = None
        self._hints: list[str] = []
        self._debug: dict[str, Any] = {}
        self._trailers: Headers = []
        self._complete = False
        self._response: Response | None = None
        messages = body.messages(request.body)
        self._call = adapter.call(request, messages, timeout)
        self._upload(messages)

    def _upload(self, messages: Iterator[dict[str, Any]]) -> None:
        try:
            for message in messages:
                if not self._call.send(message):
                    return  # the app has ended without reading it all, as it may
        except BaseException:
            # Most likely the test's own generator has raised: the app must not wait for the rest of the body.
            self._call.abandon()
            raise

    # -- a plain request

    def whole(self) -> Response:
        """The response when the app's call has ended."""
        pieces: list[bytes] = []
        while (piece := self._next_piece()) is not None:
            pieces.append(piece)
        content = b"".join(pieces) if len(pieces) != 1 else pieces[0]
        error = self._end()
        if error is not None:
            if self._adapter._raises:
                raise error
            if not self._complete:
                return self._server_error(error, has_body=bool(pieces))
        return self._filled(content)

    def _filled(self, content: bytes) -> Response:
        response = self._build(_nothing, _do_nothing)
        if "content-encoding" in response.headers:
            content = _decoded(self._head(), content)
        response._content = content
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def _server_error(self, error: BaseException, *, has_body: bool) -> Response:
        """What a client gets when the app fails: 500, or, when it is too late for that, a body that breaks off."""
        if has_body:
            raise ChunkedEncodingError(f"the app failed before the end of its response: {error!r}") from error
        self._start = {"status": 500, "headers": _ERROR_HEADERS}
        return self._filled(_ERROR_BODY if self._request.method != "HEAD" else b"")

    # -- a streamed request

    def streamed(self) -> Response:
        """The response when it has started; its body comes as it is read."""
        first = self._until_start()
        if self._start is None:
            error = self._end()
            if self._adapter._raises and error is not None:
                raise error
            return self._server_error(error or AppProtocolError("no response"), has_body=False)
        pieces = iter([first] if first is not None else [])

        def next_piece() -> bytes | None:
            return next(pieces, None) or self._next_streamed_piece()

        return self._build(next_piece, self._close)

    def _until_start(self) -> bytes | None:
        while self._start is None:
            message = self._call.receive()
            if message is None:
                return None
            self._note(message)
        return None

    def _next_streamed_piece(self) -> bytes | None:
        if self._response is not None:
            self._decorate(self._response)
        piece = self._next_piece()
        if piece is not None:
            return piece
        if self._response is not None:
            self._decorate(self._response)
        error = self._end()
        if error is not None:
            if self._adapter._raises:
                raise error
            if not self._complete:
                raise ChunkedEncodingError(f"the app failed before the end of its response: {error!r}") from error
        return None

    def _close(self) -> None:
        self._call.cancel()
        error = self._end()
        if error is not None and self._adapter._raises:
            raise error

    # -- both

    def _next_piece(self) -> bytes | None:
        while (message := self._call.receive()) is not None:
            self._note(message)
            if message["type"] == "http.response.body":
                return message["body"]  # type: ignore[no-any-return]
        return None

    def _note(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            self._complete = not message["more_body"] and not (self._start or {}).get("trailers")
        elif kind == "http.response.start":
            self._start = message
        elif kind == "http.response.trailers":
            self._trailers += message["headers"]
            self._complete = not message["more_trailers"]
        elif kind == "http.response.early_hint":
            self._hints += [link.decode("latin-1") for link in message["links"]]
        elif kind == "http.response.debug":
            self._debug |= self._call.codec.unpack_debug(message["info"])

    def _end(self) -> BaseException | None:
        """What the app raised, or how it broke the protocol; None if all is well. What befell its process is raised."""
        return self._call.end()

    def _head(self) -> RawResponse:
        assert self._start is not None
        return RawResponse(self._start["status"], self._start["headers"], _nothing, _do_nothing)

    def _build(self, next_piece: Any, on_close: Any) -> Response:
        assert self._start is not None
        raw = RawResponse(self._start["status"], self._start["headers"], next_piece, on_close)
        self._response = response = build_response(self._request, raw, self._adapter)
        self._decorate(response)
        return response

    def _decorate(self, response: Response) -> None:
        if self._debug:
            response.template = self._debug.get("template")
            response.context = self._debug.get("context")
        if self._hints:
            response.early_hints = self._hints
        for name, value in self._trailers:
            response.trailers[name.decode("latin-1")] = value.decode("latin-1")


def _decoded(raw: RawResponse, content: bytes) -> bytes:
    pieces = iter([content])
    raw._next_piece = lambda: next(pieces, None)
    try:
        return raw.read(decode_content=True)
    except DecodeError as error:
        raise ContentDecodingError(error) from error


def _nothing() -> None:
    return None


def _do_nothing() -> None:
    return None
