"""The response, and the raw body under it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPMessage
from typing import Any, Final, cast

import requests
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3._collections import HTTPHeaderDict
from urllib3.response import HTTPResponse

__all__ = ["RawResponse", "Response", "build_response", "reason_of"]

Headers = list[tuple[bytes, bytes]]


class Response(requests.Response):
    """A :class:`requests.Response`, with what ASGI has beyond that.

    Attributes:
        template: the template that the app rendered, or a stand-in for it (extension ``http.response.debug``); None
            without.
        context: the context that it was rendered with (dict); None without.
        trailers: the trailing headers (extension ``http.response.trailers``); complete when the body has been read.
        early_hints: the ``Link`` values of the early hints that came (extension ``http.response.early_hint``).
    """

    template: Any = None
    context: Any = None
    trailers: CaseInsensitiveDict[str]
    early_hints: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.trailers = CaseInsensitiveDict()
        self.early_hints = []


class RawResponse(io.RawIOBase):
    """What :attr:`requests.Response.raw` is: the head of the response, and its body as it comes.

    Args:
        status: the status code.
        headers: as the app sent them.
        next_piece: returns the next piece of the body, or None at its end; it may wait, and raise.
        on_close: called when the body is closed before its end; it may wait, and raise.
        on_drop: called when the body is collected before its end; it must not.
    """

    version: Final = 11

    def __init__(
        self,
        status: int,
        headers: Headers,
        next_piece: Callable[[], bytes | None],
        on_close: Callable[[], object],
        on_drop: Callable[[], object],
    ) -> None:
        self.status = status
        self.reason = reason_of(status)
        self._pairs = headers
        self._next_piece = next_piece
        self._on_close = on_close
        self._on_drop = on_drop
        self._buffer = b""
        self._ended = False
        self._decoder: _Decoder | None = None
        self._original_response = _cookie_source(headers)

    @property
    def headers(self) -> HTTPHeaderDict:
        """The headers, repeated ones included (``getlist``)."""
        return _header_dict(self._pairs)

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """The body as it comes: one piece for each event of the app, cut where it is longer than ``amt`` bytes."""
        while (piece := self._pull(decode_content)) is not None:
            if not amt or len(piece) <= amt:
                if piece:
                    yield piece
            else:
                yield from (piece[at : at + amt] for at in range(0, len(piece), amt))

    def read(self, amt: int | None = -1, decode_content: bool | None = None) -> bytes:
        """Read ``amt`` bytes, fewer only at the end; all of it without ``amt``."""
        wanted = float("inf") if amt is None or amt < 0 else amt
        pieces = [self._buffer]
        size = len(self._buffer)
        self._buffer = b""
        while size < wanted and (piece := self._pull(decode_content)) is not None:
            pieces.append(piece)
            size += len(piece)
        data = b"".join(pieces)
        cut = size if wanted >= size else int(wanted)
        self._buffer = data[cut:]
        return data[:cut]

    def readinto(self, buffer: Any) -> int:
        """See :class:`io.RawIOBase`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        """It is."""
        return True

    def release_conn(self) -> None:
        """There is no pool that it would go back to."""

    def exhaust(self) -> None:
        """The body has been read, by other means."""
        self._ended = True

    def close(self) -> None:
        """Let the app know that nobody reads on; it sees ``http.disconnect``."""
        if not self.closed:
            super().close()
            if not self._ended:
                self._ended = True
                self._on_close()

    def __del__(self) -> None:
        if not self._ended:
            self._ended = True
            self._on_drop()

    def _pull(self, decode_content: bool | None) -> bytes | None:
        if self._buffer:
            kept, self._buffer = self._buffer, b""
            return kept
        if self._ended:
            return None
        try:
            piece = self._next_piece()
        except BaseException:
            self._ended = True  # closing it would only tell the same again
            raise
        self._ended = piece is None
        if not decode_content:
            return piece
        if self._decoder is None:
            self._decoder = _Decoder(self.headers)
        decoded = self._decoder.decode(piece)
        return decoded if decoded or not self._ended else None


class _Decoder(HTTPResponse):
    """Undoes the content coding (gzip, deflate, br, zstd...), with the decoders of urllib3."""

    def __init__(self, headers: HTTPHeaderDict) -> None:
        super().__init__(b"", headers=headers, preload_content=False)
        self._init_decoder()

    def decode(self, piece: bytes | None) -> bytes:
        """Decode a piece; None flushes what is left."""
        if self._decoder is None:
            return piece or b""
        return self._decode(piece or b"", True, piece is None)


class _CookieSource:
    """What :func:`requests.cookies.extract_cookies_to_jar` asks of an ``http.client`` response."""

    def __init__(self, cookies: list[bytes]) -> None:
        self.msg = HTTPMessage()
        for cookie in cookies:
            self.msg["Set-Cookie"] = cookie.decode("latin-1")

    def isclosed(self) -> bool:
        """There is no connection left open."""
        return True


def _cookie_source(headers: Headers) -> _CookieSource | None:
    cookies = [value for name, value in headers if name == b"set-cookie"]
    return _CookieSource(cookies) if cookies else None


def _header_dict(headers: Headers) -> HTTPHeaderDict:
    result = HTTPHeaderDict()
    for name, value in headers:
        result.add(name.decode("latin-1"), value.decode("latin-1"))
    return result


def reason_of(status: int) -> str:
    """The phrase for a status code (RFC 9110, 15); empty for one that has none.

    Example:
        >>> reason_of(404)
        'Not Found'
    """
    return _PHRASES.get(status, "")


_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}


def build_response(request: requests.PreparedRequest, raw: RawResponse, adapter: Any) -> Response:
    """What :meth:`requests.adapters.HTTPAdapter.build_response` does, for ours."""
    response = Response()
    response.status_code = raw.status
    response.headers = CaseInsensitiveDict(_joined(raw._pairs))
    response.encoding = _encoding_of(response.headers.get("content-type"))
    response.raw = raw
    response.reason = raw.reason
    response.url = request.url or ""
    response.request = request
    response.connection = adapter
    if raw._original_response is not None:
        extract_cookies_to_jar(response.cookies, request, cast(Any, raw))  # type: ignore[no-untyped-call,unused-ignore]
    return response


@lru_cache(maxsize=128)
def _encoding_of(content_type: str | None) -> str | None:
    return get_encoding_from_headers(CaseInsensitiveDict({"content-type": content_type} if content_type else {}))


def _joined(headers: Headers) -> dict[str, str]:
    """Repeated headers as one, joined by commas, as urllib3 shows them (RFC 9110, 5.2)."""
    result: dict[str, str] = {}
    for name_bytes, value_bytes in headers:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        result[name] = f"{result[name]}, {value}" if name in result else value
    return result
