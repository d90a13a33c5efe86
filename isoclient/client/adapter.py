"""The transport of requests: a prepared request in, a call of the app, a response out, whole or streamed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import BaseAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import DecodeError

from isoclient.client.answers import BEGINNING, Answer
from isoclient.client.asgi_request import http_scope, messages, messages_of_pieces, whole
from isoclient.client.call import reraise
from isoclient.client.client_options import Settings
from isoclient.client.response import READ, Body, Response, build_response
from isoclient.client.session import read_timeout
from isoclient.client.supervisor import Supervisor
from isoclient.compat.requests_ import CONTENT, IS_CONSUMED, IS_KNOWN
from isoclient.compat.urllib3_ import Headers, RawResponse
from isoclient.system.modules import io
from isoclient.wire.protocol import CallSpec

if TYPE_CHECKING:
    from isoclient.client.call import Call

__all__ = ["ASGIAdapter"]

Message = dict[str, Any]


class ASGIAdapter(BaseAdapter):
    """Sends requests to an app.

    Args:
        supervisor: has the app.
        settings: those of the client, which may change from one request to the next.
    """

    def __init__(self, supervisor: Supervisor, settings: Settings) -> None:
        super().__init__()
        self._supervisor = supervisor
        self._settings = settings

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
            AppCrashed: the app's process died.
            AppTimeout: nothing came from the app in time.
            AppStartupError: the app could not be loaded.
            BaseException: the app's own.
        """
        given: Any = request.body
        content = whole(given)
        if content is None:
            body = messages_of_pieces(given)
        else:
            if not isinstance(given, str | bytes | None):
                _correct_length(request, len(content))
            body = messages(content)
        scope = http_scope(request, self._settings.root_path, self._settings.client)
        copy = self._supervisor.copy()
        call = copy.open(
            # What is whole already goes along with the scope. A generator may do anything before its first piece.
            CallSpec("http", scope, () if content is None else (next(body),)),
            doing=f"handling {request.method} {scope['path']}",
            timeout=read_timeout(timeout, self._supervisor.plan.timeout),
            request=request,
        )
        answer = copy.record.answers.begin(scope)
        exchange = _Exchange(call, request, self, answer, raises=self._settings.raises)
        try:
            exchange.upload(body)
            return exchange.streamed() if stream else exchange.whole()
        except BaseException as error:
            # Where it is not the app that has failed, but a generator of the test's, or Ctrl-C: nobody waits any more.
            answer.fail(error, call)
            call.abandon()
            raise

    def close(self) -> None:
        """The client ends the app, not its adapter."""


class _Exchange:
    """One request and its response.

    Args:
        call: the call of the app, just begun.
        request: the request.
        adapter: the adapter that it came through.
        answer: where it is noted what has come.
        raises: whether the app's exceptions are raised. If not, what has come of the response is the response; where
            nothing has, an empty one of status 500.
    """

    def __init__(
        self, call: Call, request: requests.PreparedRequest, adapter: Any, answer: Answer, *, raises: bool
    ) -> None:
        self._call = call
        self._answer = answer
        self._request = request
        self._adapter = adapter
        self._raises = raises
        self._parts = _ResponseBuilder(call.codec.unpack_debug)
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
        self._note(content)
        return self._filled(content)

    def _note(self, content: bytes) -> None:
        answer = self._answer
        answer.status, answer.headers = self._parts.head
        answer.body = content[:BEGINNING]
        answer.end()

    def _content(self) -> bytes:
        content = b""
        gathered: io.BytesIO | None = None
        while messages := self._call.receive_all():
            for message in messages:
                piece = self._parts.take(message)
                if not piece:
                    continue
                if gathered is not None:
                    gathered.write(piece)
                elif not content:
                    content = piece
                else:
                    # No list that is joined at the end: a piece that is dropped leaves its memory, warm, to the next.
                    gathered = io.BytesIO()
                    gathered.write(content)
                    gathered.write(piece)
        return content if gathered is None else gathered.getvalue()

    def _next_piece(self) -> bytes | None:
        while (message := self._call.receive()) is not None:
            piece = self._parts.take(message)
            if piece is not None:
                return piece
        return None

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
            message = self._call.receive()
            if message is None:
                self._check_end()
                self._note(b"")
                return self._filled(b"")
            self._parts.take(message)
        self._call.sync_output()
        self._note(b"")
        status, headers = self._parts.head
        body = Body(self._next_streamed, self._leave, self._call.abandon, insists=self._raises)
        response = self._build(RawResponse(self._request, status, headers, body))
        # Not to be kept by what it keeps: a response that is dropped should go at once, and the client with it.
        self._response = weakref.ref(response)
        return response

    def _next_streamed(self) -> bytes | None:
        piece = self._next_piece()
        if piece and len(self._answer.body) < BEGINNING:
            self._answer.body += piece[:BEGINNING]
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


class _ResponseBuilder:
    """What has come of a response so far (ASGI HTTP 2.5 and its extensions); the pieces of its body pass through.

    Args:
        unpack_debug: unpacks what an app tells for debugging.

    Attributes:
        start: the message ``http.response.start``, when it has come.
        complete: whether the response is whole.
    """

    def __init__(self, unpack_debug: Callable[[Any], Message]) -> None:
        self._unpack_debug = unpack_debug
        self.start: Message | None = None
        self.complete = False
        self._hints: list[str] = []
        self._debug: Message = {}
        self._trailers: Headers = []

    @property
    def head(self) -> tuple[int, Headers]:
        """Status and headers; before the start, those of a response with nothing in it.

        Starlette's clients give that where a server would write a page of its own, and suites rely on it.
        """
        return (500, []) if self.start is None else (self.start["status"], self.start["headers"])

    def take(self, message: Message) -> bytes | None:
        """Take note of a message; return the piece of the body that it carries, or None."""
        kind = message["type"]
        if kind == "http.response.body":
            self.complete = not message["more_body"] and not (self.start or {}).get("trailers")
            return message["body"]  # type: ignore[no-any-return]
        if kind == "http.response.start":
            self.start = message
        elif kind == "http.response.trailers":
            self._trailers += message["headers"]
            self.complete = not message["more_trailers"]
        elif kind == "http.response.early_hint":
            self._hints += [link.decode("latin-1") for link in message["links"]]
        elif kind == "http.response.debug":
            self._debug |= self._unpack_debug(message["info"])
        return None

    def decorate(self, response: Response) -> None:
        """Put what is not head and body where the user finds it."""
        if self._debug:
            response.template = self._debug.get("template")
            response.context = self._debug.get("context")
        if self._hints:
            response.early_hints = self._hints
        for name, value in self._trailers:
            response.trailers[name.decode("latin-1")] = value.decode("latin-1")


def _correct_length(request: requests.PreparedRequest, size: int) -> None:
    """requests, given an array that it prepares itself, counts the items, and not the bytes of them."""
    if "Transfer-Encoding" not in request.headers:
        request.headers["Content-Length"] = str(size)


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
