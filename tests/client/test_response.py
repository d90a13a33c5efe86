"""``response.raw`` beside urllib3's own, over the same response: whatever is done with them, they give the same."""

from __future__ import annotations

import errno
import gzip
import io
import shutil
import signal
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import pytest
import requests
import urllib3
from urllib3.exceptions import DecodeError, ResponseNotChunked

from isoclient.client.response import Body
from isoclient.compat.urllib3_ import Headers, RawResponse

TEXT: Final = b"".join(b"line %d of the text\n" % number for number in range(2000))


class _Socket:
    """All that :class:`http.client.HTTPResponse` asks of a socket."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def makefile(self, mode: str) -> io.BytesIO:
        return self._file


def urllib3s(headers: Headers, content: bytes) -> urllib3.HTTPResponse:
    """As urllib3 makes it for requests."""
    import http.client

    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%s: %s\r\n" % header for header in headers)
    original = http.client.HTTPResponse(cast(Any, _Socket(head + b"\r\n" + content)))
    original.begin()
    return urllib3.HTTPResponse(
        cast(Any, original),
        headers=urllib3.HTTPHeaderDict(original.msg.items()),
        status=original.status,
        version=original.version,
        reason=original.reason,
        preload_content=False,
        decode_content=False,
        request_method="GET",
        request_url="/text?q=1",
    )


def ours(headers: Headers, content: bytes, *, size: int = 1000) -> RawResponse:
    """Of an app that sends it in pieces."""
    request = requests.Request("GET", "http://testserver/text?q=1").prepare()
    pieces = iter([content[at : at + size] for at in range(0, len(content), size)])
    return RawResponse(request, 200, headers, Body(lambda: next(pieces, None), int, int, insists=True))


def copied(raw: Any) -> bytes:
    target = io.BytesIO()
    shutil.copyfileobj(raw, target)
    return target.getvalue()


def decoding(raw: Any) -> Any:
    raw.decode_content = True
    return raw


def filled(raw: Any, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: raw.readinto(buffer)])


def lasting(raw: Any) -> Any:
    raw.auto_close = False
    return raw


USES: Final[dict[str, Callable[[Any], object]]] = {
    "read": lambda raw: [raw.read(), raw.read(), raw.closed],
    "read(None)": lambda raw: raw.read(None),
    "read(amt)": lambda raw: [raw.read(10), raw.read(0), raw.read(5000), raw.read(5), raw.tell()],
    "read, decoded": lambda raw: [raw.read(decode_content=True), raw.read(decode_content=True)],
    "read(amt), decoded": lambda raw: [raw.read(10, decode_content=True), raw.read(5000, True), raw.read(10**6, True)],
    "read, decoded by default": lambda raw: decoding(raw).read(),
    "read, kept": lambda raw: [raw.read(cache_content=True), raw.data],
    "read1": lambda raw: b"".join(iter(raw.read1, b"")),
    "read1, decoded": lambda raw: b"".join(iter(lambda: raw.read1(100, True), b"")),
    "read1(0)": lambda raw: [raw.read1(0), raw.read1(0, decode_content=True)],
    "mixed": lambda raw: [raw.read(10, True), b"".join(raw.stream(7, True)), raw.closed],
    "readinto": lambda raw: [filled(raw, 10), filled(raw, 5000), raw.read(3)],
    "readinto, decoded": lambda raw: [filled(decoding(raw), 10), filled(raw, 5000)],
    "stream": lambda raw: [b"".join(raw.stream()), list(raw.stream()), raw.closed],
    "stream, decoded": lambda raw: b"".join(raw.stream(100, decode_content=True)),
    "stream(None)": lambda raw: b"".join(raw.stream(None, decode_content=True)),
    "data": lambda raw: [raw.data, raw.closed],
    "lines": list,
    "readline": lambda raw: [raw.readline(), raw.readlines(50)],
    "a copy": copied,
    "a copy, decoded": lambda raw: copied(decoding(raw)),
    "buffered": lambda raw: io.BufferedReader(decoding(lasting(raw))).read(2345),
    "as text": lambda raw: list(io.TextIOWrapper(decoding(lasting(raw)), "latin-1")),
    "unzipped": lambda raw: gzip.decompress(copied(raw)) if raw.headers.get("content-encoding") == "gzip" else None,
    "drained": lambda raw: [raw.drain_conn(), raw.read(), raw.closed],
    "closed": lambda raw: [raw.closed, raw.close(), raw.closed, raw.read(), raw.tell()],
    "closed, lasting": lambda raw: [lasting(raw).read() and raw.closed, raw.close(), raw.closed],
    "length": lambda raw: [raw.length_remaining, raw.read(5), raw.length_remaining, raw.tell()],
    "head": lambda raw: [raw.status, raw.reason, raw.version, raw.headers == raw.info(), raw.geturl(), raw.url],
    "headers": lambda raw: [raw.headers.getlist("x-a"), raw.headers["X-A"], raw.headers.get("none")],
    "getheader": lambda raw: [raw.getheader("x-a"), raw.getheader("none", "other"), raw.getheaders() == raw.headers],
    "kind": lambda raw: [raw.readable(), raw.writable(), raw.seekable(), isinstance(raw, io.IOBase), raw.chunked],
    "connection": lambda raw: [raw.connection, raw.release_conn(), raw._pool, raw.get_redirect_location()],
    "defaults": lambda raw: [raw.decode_content, raw.auto_close, raw.enforce_content_length, raw.msg],
    "io": lambda raw: [raw.isatty(), raw.flush(), raw.readable()],
    "with": lambda raw: [raw.__enter__() is raw, raw.__exit__(None, None, None), raw.closed],
}  # fmt: skip

CODINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": lambda content: content,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "gzip, deflate": lambda content: zlib.compress(gzip.compress(content)),
}


def answer(coding: str) -> tuple[Headers, bytes]:
    content = CODINGS[coding](TEXT)
    headers = [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"%d" % len(content))]
    return headers + ([(b"content-encoding", coding.encode())] if coding else []), content


@pytest.mark.parametrize("use", USES)
def test_it_does_as_urllib3s(use: str) -> None:
    if not hasattr(urllib3.HTTPResponse, "read1") and "read1" in use:
        pytest.skip("this version of urllib3 has none")
    for coding in CODINGS:
        headers, content = answer(coding)
        theirs = urllib3s(headers, content)
        wanted = outcome(USES[use], theirs)
        assert outcome(USES[use], ours(headers, content)) == wanted, coding
        assert outcome(USES[use], ours(headers, content, size=10**6)) == wanted, coding
        theirs.close()


def outcome(use: Callable[[Any], object], raw: Any) -> object:
    try:
        return use(raw)
    except Exception as error:
        return type(error), str(error)


def test_it_is_urllib3s() -> None:
    raw = ours(*answer(""))
    assert isinstance(raw, urllib3.HTTPResponse)
    assert isinstance(raw, urllib3.BaseHTTPResponse)
    assert raw.version_string == "HTTP/1.1"
    assert raw.retries is not None
    assert not raw.retries.history
    with pytest.raises(AttributeError, match="'RawResponse' object has no attribute 'nonsense'"):
        raw.nonsense  # noqa: B018


def test_a_stream_has_a_piece_for_each_event() -> None:
    for decode in (False, True):
        raw = ours(*answer(""))
        assert {len(piece) for piece in list(raw.stream(None, decode))[:-1]} == {1000}
        raw = ours(*answer(""))
        assert [len(piece) for piece in raw.stream(600, decode)][:4] == [600, 400, 600, 400]


def test_it_is_drained_after_some_was_decoded() -> None:
    raw = ours(*answer("gzip"))
    assert raw.read(5, decode_content=True) == TEXT[:5]
    raw.drain_conn()
    assert (raw.read(decode_content=True), raw.closed, raw.length_remaining) == (b"", True, 0)


def test_json() -> None:
    assert ours([], b'{"a": [1, 2]}', size=5).json() == {"a": [1, 2]}


def test_chunks() -> None:
    with pytest.raises(ResponseNotChunked):
        next(ours([], b"content").read_chunked())
    raw = ours([(b"transfer-encoding", b"chunked")], b"content", size=3)
    assert raw.supports_chunked_reads()
    assert list(raw.read_chunked()) == [b"con", b"ten", b"t"]
    assert list(ours([(b"transfer-encoding", b"chunked")], b"content", size=3).stream()) == [b"con", b"ten", b"t"]


def test_a_content_coding_that_is_a_lie() -> None:
    raw = ours([(b"content-encoding", b"gzip")], b"no gzip")
    with pytest.raises(DecodeError):
        raw.read(decode_content=True)
    with pytest.raises(DecodeError):
        next(ours([(b"content-encoding", b"gzip")], b"no gzip").stream(decode_content=True))


def test_what_is_set_before_anything_is_read_stays() -> None:
    raw = ours(*answer("gzip"))
    raw.decode_content = True
    raw.reason = "Fine"
    assert raw.read() == TEXT
    assert raw.reason == "Fine"


def test_closing_and_dropping_are_told_apart() -> None:
    told: list[str] = []

    def raw(pieces: Iterator[bytes | None]) -> RawResponse:
        body = Body(
            lambda: next(pieces, None), lambda: told.append("closed"), lambda: told.append("dropped"), insists=True
        )
        return RawResponse(requests.Request("GET", "http://testserver/").prepare(), 200, [], body)

    raw(iter([b"x"])).close()
    assert told == ["closed"]
    raw(iter([b"x"]))
    assert told == ["closed", "dropped"]
    read = raw(iter([b"x", None]))
    assert read.read() == b"x"
    read.close()
    del read
    assert told == ["closed", "dropped"]


@pytest.fixture
def _bounded() -> Iterator[None]:
    """Whoever asks again for ever is interrupted."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    old = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


@pytest.mark.usefixtures("_bounded")
@pytest.mark.parametrize("wrapper", [io.BufferedReader, io.TextIOWrapper])
def test_an_interrupted_error_of_the_apps_ends_the_reading(wrapper: Callable[[Any], Any]) -> None:
    """io takes it for the interruption by a signal, and asks again."""

    def pieces() -> Iterator[bytes]:
        yield b"a line\n"
        raise error

    error, there = InterruptedError(errno.EINTR, "the app's"), pieces()
    body = Body(lambda: next(there, None), int, int, insists=True)
    lines = iter(wrapper(RawResponse(requests.Request("GET", "http://testserver/").prepare(), 200, [], body)))
    with pytest.raises(InterruptedError, match="the app's") as caught:
        list(lines)
    assert caught.value is error


def test_a_body_whose_making_was_interrupted_is_dropped_in_silence() -> None:
    body = Body.__new__(Body)
    body.__del__()
    assert body.closed
