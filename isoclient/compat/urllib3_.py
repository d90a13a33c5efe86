"""urllib3: its class for responses, over a body that comes from the app instead of a socket."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ResponseNotChunked
from urllib3.util.retry import Retry

from isoclient.compat.self_tests import self_test

if TYPE_CHECKING:
    import requests

__all__ = ["Headers", "RawResponse", "reason_of"]

Headers = list[tuple[bytes, bytes]]

_VERSION: Final = 11
_NO_RETRIES: Final = Retry(0, read=False)  # as requests has it where nobody has said otherwise


@self_test("Reading a part of a response by response.raw", project="urllib3")
def _is_known() -> None:
    response: Any = HTTPResponse(preload_content=False)
    assert response._fp_bytes_read == 0
    assert response._original_response is None
    assert response._decoder is None
    assert response._decode(b"as it is", False, False) == b"as it is"
    response._init_decoder()
    response._decoded_buffer.put(b"decoded")
    assert response._decoded_buffer.get(2) == b"de"


class AppBody(Protocol):
    """The body, as a file.

    Attributes:
        closed: whether nothing more will come.
        failure: what reading it has raised, if it raises that again and again.
    """

    closed: bool
    failure: BaseException | None

    def read(self, amt: int | None = None) -> bytes:
        """Read so many bytes, or all."""

    def read1(self, amt: int | None = None) -> bytes:
        """Read what has come in one piece."""

    def close(self) -> None:
        """Nobody reads on."""


class RawResponse(HTTPResponse):
    """What :attr:`requests.Response.raw` is.

    Of urllib3's, all that is about connections and their errors is replaced: the exceptions that come out of this body
    are the app's, whatever their class. Its content is decoded by urllib3.

    Args:
        request: what it is the response to.
        status: the status code.
        headers: as the app sent them.
        body: as it comes.
        size: how many bytes of the body have been read already.

    Attributes:
        pairs: the headers, as they were given.
        has_cookies: whether there are any among them.
    """

    pairs: Headers
    _original_response: Any  # of http.client, where requests looks for cookies
    _fp: Any

    def __init__(
        self, request: requests.PreparedRequest, status: int, headers: Headers, body: AppBody, size: int = 0
    ) -> None:
        # All else is made at its first use: of most responses, requests asks for no more than this.
        self._request = request
        self.pairs = headers
        self._size = size
        self._fp = body
        self._original_response = source = _cookie_source(headers)
        self.has_cookies = source is not None
        self.status = status
        self.reason = reason_of(status)
        self.auto_close = True

    def __getattr__(self, name: str) -> Any:
        own = dict(vars(self))
        if "pairs" not in own or "_fp_bytes_read" in own:
            if hasattr(HTTPResponse, name) and isinstance(self.failure, AttributeError):
                raise self.failure  # a property has raised it, such as data, and then Python asks here
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        _is_known()
        super().__init__(
            body=self._fp,
            headers=_header_dict(self.pairs),
            status=self.status,
            version=_VERSION,
            reason=self.reason,
            preload_content=False,
            decode_content=False,
            original_response=self._original_response,
            retries=_NO_RETRIES,
            request_method=self._request.method,
            request_url=self._request.path_url,
        )
        self.version_string = f"HTTP/{_VERSION / 10}"
        self._count(self._size)
        vars(self).update(own)  # what may have been set meanwhile: decode_content, for one
        return getattr(self, name)

    def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override,unused-ignore]
        """The body as it comes: one piece for each event of the app, cut where it is longer than ``amt`` bytes."""
        while piece := self.read1(amt, decode_content):
            yield piece

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override,unused-ignore]
        """The same, of a response whose headers say that it is sent in chunks."""
        if not self.chunked:
            raise ResponseNotChunked("the app has sent no 'transfer-encoding: chunked'; use stream()")
        yield from self.stream(amt, decode_content)

    def supports_chunked_reads(self) -> bool:
        """Whether :meth:`read_chunked` can be used."""
        return True

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read what has come in one event of the app, at most ``amt`` bytes of it; none only at the end."""
        if amt == 0:
            return b""
        amt = None if amt is not None and amt < 0 else amt
        if not (self.decode_content if decode_content is None else decode_content):
            # Not without urllib3: it refuses what is not possible any more after some of it has been decoded.
            return self._decode(self._raw_read(amt, read1=True), False, False)
        self._init_decoder()
        buffer = self._decoded_buffer
        while not len(buffer) and not self._fp.closed:
            data = self._raw_read(read1=True)
            buffer.put(self._decode(data, True, not data))
        size = len(buffer)
        return buffer.get(size if amt is None else min(size, amt))

    def _raw_read(self, amt: int | None = None, *, read1: bool = False) -> bytes:
        """What urllib3 reads of a connection, and takes the exceptions of for such of a connection."""
        data: bytes = self._fp.read1(amt) if read1 else self._fp.read(amt)
        self._count(len(data))
        return data

    def _count(self, size: int) -> None:
        self._fp_bytes_read += size
        if self.length_remaining is not None:
            self.length_remaining = max(0, self.length_remaining - size)

    def drain_conn(self) -> None:
        """Read the rest, and forget it."""
        while self._raw_read(2**16):
            pass
        self._decoded_buffer = type(self._decoded_buffer)()
        self._decoder = None

    def release_conn(self) -> None:
        """There is no pool that it would go back to."""

    def close(self) -> None:
        """Let the app know that nobody reads on; it sees ``http.disconnect``."""
        try:
            self._fp.close()
        finally:
            super().close()

    def __del__(self) -> None:
        """Nothing, in the place of io's: that would close it, which may wait. The body tells the app of its end."""

    @property
    def failure(self) -> BaseException | None:
        """What the body has failed with, if it insists on that."""
        return cast(AppBody, self._fp).failure


class _CookieSource:
    """What :func:`requests.cookies.extract_cookies_to_jar` asks of an ``http.client`` response."""

    def __init__(self, cookies: list[bytes]) -> None:
        self.msg = HTTPMessage()
        for cookie in cookies:
            self.msg["Set-Cookie"] = cookie.decode("latin-1")

    def isclosed(self) -> bool:
        """There is no connection left open."""
        return True

    def close(self) -> None:
        """There is none to be closed."""


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
