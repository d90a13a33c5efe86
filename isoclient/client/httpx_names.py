"""What suites that were written for httpx call on a response and on a client, where requests has it by another name.

What is not here says, when it is asked for, what there is instead.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import Any, Final, NoReturn, Self, TypeVar

import requests
from requests.exceptions import StreamConsumedError

from isoclient.client import unpatched
from isoclient.client.session import Session, absolute, resolve
from isoclient.compat.requests_ import IS_CONSUMED

__all__ = ["ClientNames", "ResponseNames"]

_Piece = TypeVar("_Piece", str, bytes)
_Class = TypeVar("_Class")

_ON_RESPONSES: Final = {
    "aclose": "response.close()",
    "aiter_bytes": "response.iter_bytes()",
    "aiter_lines": "response.iter_lines()",
    "aiter_raw": "response.iter_raw()",
    "aiter_text": "response.iter_text()",
    "aread": "response.read()",
    "default_encoding": "response.encoding, which may be set",
    "extensions": "response.trailers, response.early_hints, response.template and response.context",
    "is_closed": "response.raw.closed",
    "is_stream_consumed": "response.raw.closed",
    "next_request": "response.next",
    "num_bytes_downloaded": "len(response.content)",
    "stream": "response.raw",
}
_ON_CLIENTS: Final = {
    "aclose": "client.close()",
    "async_backend": "TestClient(app, backend=..., backend_options=...)",
    "event_hooks": 'client.hooks["response"]',
    "is_closed": "repr(client), which tells whether the app runs",
    "lifespan": "with client: ..., which runs the app's lifespan",
    "portal": "client.call(function, ...), which calls it on the app's event loop",
    "task": "with client: ..., which raises what the app's lifespan raises",
    "transport": "client.get_adapter(url)",
    "wait_shutdown": "with client: ..., which runs the app's lifespan",
    "wait_startup": "with client: ..., which runs the app's lifespan",
}


class _Missing:
    """A name that is not there. Whoever asks for it is told what there is instead.

    It is no ``__getattr__``: Python asks that for a property which has raised an AttributeError, too, and forgets that
    error. But it may be the app's, out of a body that is read.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, thing: object, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self._name!r}: isoclient is based on requests, and has "
            f"{self._instead}",
            name=self._name,
            obj=thing,
        )


def _without(names: Mapping[str, str]) -> Callable[[type[_Class]], type[_Class]]:
    def decorate(cls: type[_Class]) -> type[_Class]:
        for name, instead in names.items():
            setattr(cls, name, _Missing(name, instead))
        return cls

    return decorate


@_without(_ON_RESPONSES)
class ResponseNames(unpatched.Response):
    """Those of a response."""

    lines_are_text = False
    """Whether ``iter_lines()`` gives str, as it does in ``with client.stream(...)``."""

    @property
    def is_informational(self) -> bool:
        """Whether the status is 1xx."""
        return 100 <= self.status_code < 200

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx; ``ok`` is also true for redirects."""
        return 200 <= self.status_code < 300

    @property
    def is_client_error(self) -> bool:
        """Whether the status is 4xx."""
        return 400 <= self.status_code < 500

    @property
    def is_server_error(self) -> bool:
        """Whether the status is 5xx."""
        return 500 <= self.status_code < 600

    @property
    def is_error(self) -> bool:
        """Whether the status is 4xx or 5xx."""
        return 400 <= self.status_code < 600

    @property
    def has_redirect_location(self) -> bool:
        """Whether it is a redirect that says where to; as ``is_redirect`` has it in requests."""
        return self.is_redirect

    @property
    def reason_phrase(self) -> str:
        """The phrase for its status; ``reason`` in requests."""
        return self.reason or ""

    @property
    def http_version(self) -> str:
        """The version of HTTP that the scope has."""
        return "HTTP/1.1"

    @property
    def charset_encoding(self) -> str | None:
        """The charset that its content type names; None if it names none."""
        message = Message()
        message["content-type"] = self.headers.get("content-type", "")
        return message.get_content_charset()

    def raise_for_status(self) -> Self:  # type: ignore[override]
        """Raise :class:`requests.HTTPError` for a status of 4xx or 5xx; else return the response.

        Raises:
            requests.HTTPError: the status is an error.
        """
        super().raise_for_status()
        return self

    def read(self) -> bytes:
        """All of the body; ``content`` in requests."""
        return self.content or b""

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The body, decoded, as it comes; with ``chunk_size``, in pieces of so many bytes."""
        return _regrouped(self.iter_content(None), chunk_size)

    def iter_raw(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The body as the app sent it, gzipped if it is, as it comes; with ``chunk_size``, in pieces of so many bytes.

        Raises:
            requests.exceptions.StreamConsumedError: it has been read already.
        """
        if vars(self).get(IS_CONSUMED):
            raise StreamConsumedError
        return _regrouped(self._undecoded(), chunk_size)

    def _undecoded(self) -> Iterator[bytes]:
        yield from self.raw.stream(None, decode_content=False)
        vars(self)[IS_CONSUMED] = True  # not before: requests does not close what has been read

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """The body as text, as it comes; with ``chunk_size``, in pieces of so many characters."""
        return _regrouped(self._texts(), chunk_size)

    def _texts(self) -> Iterator[str]:
        decoder = _decoder(self.encoding)
        for piece in self.iter_content(None):
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", True):
            yield text

    def iter_lines(self, *args: Any, **options: Any) -> Iterator[Any]:
        """The lines of the body: bytes, as in requests, but in ``with client.stream(...)`` str, as in httpx."""
        if self.lines_are_text and not args and not options:
            return _lines(self._texts())
        return super().iter_lines(*args, **options)


@_without(_ON_CLIENTS)
class ClientNames(Session):
    """Those of a client."""

    base_url: str
    follow_redirects: bool

    def build_request(self, method: str, url: Any, **options: Any) -> requests.PreparedRequest:
        """The request that :meth:`request` would send, to be sent by :meth:`send`.

        Args:
            method: such as ``"GET"``.
            url: absolute, or relative to ``base_url``.
            **options: ``params``, ``headers``, ``cookies``, ``content``, ``data``, ``json``, ``files``, ``auth``.
        """
        named = resolve((), options, follow_redirects=True)
        del named["allow_redirects"]
        return self.prepare_request(requests.Request(method.upper(), absolute(self.base_url, url), **named))


def _decoder(encoding: str | None) -> codecs.IncrementalDecoder:
    try:
        return codecs.getincrementaldecoder(encoding or "utf-8")("replace")
    except LookupError:
        return codecs.getincrementaldecoder("utf-8")("replace")


def _regrouped(pieces: Iterator[_Piece], size: int | None) -> Iterator[_Piece]:
    """The same in pieces of one size, but for the last; as they are without one."""
    kept: _Piece | None = None
    for piece in pieces:
        if size is None:
            yield piece
            continue
        kept = piece if kept is None else kept + piece
        while len(kept) >= size:
            yield kept[:size]
            kept = kept[size:]
    if kept:
        yield kept


def _lines(texts: Iterator[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces, without their ends; a line's end may come in two."""
    rest = ""
    for text in texts:
        rest += text
        if rest.endswith("\r"):
            continue
        *whole, rest = _split(rest)
        yield from whole
    yield from rest.splitlines()


def _split(text: str) -> list[str]:
    """Its lines, and what comes behind the end of the last one."""
    lines = text.splitlines()
    return [*lines, ""] if text[-1:].splitlines() == [""] else lines
