"""The response: that of requests, with what ASGI has beyond it; and its body, which comes from the app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EINTR
from functools import lru_cache
from typing import Any, Final, cast

import requests
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from isoclient.client.call import reraise
from isoclient.client.httpx_names import ResponseNames
from isoclient.compat.requests_ import IS_CONSUMED, IS_KNOWN, STORE
from isoclient.compat.urllib3_ import Headers, RawResponse
from isoclient.system.modules import pickle

__all__ = ["READ", "Body", "Response", "ResponseHeaders", "build_response"]


class ResponseHeaders(CaseInsensitiveDict[str]):
    """The headers of a response: a mapping in which those that came more than once are joined by commas.

    Args:
        pairs: as the app sent them.

    Example:
        >>> headers = ResponseHeaders([(b"vary", b"accept"), (b"vary", b"origin")])
        >>> headers["Vary"], headers.get_list("Vary")
        ('accept, origin', ['accept', 'origin'])
    """

    def __init__(self, pairs: Headers) -> None:
        super().__init__()
        self.raw = pairs
        if not IS_KNOWN:
            self._join()
            return
        store = vars(self)[STORE]  # by name in lower case: name and value
        for raw_name, raw_value in pairs:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            key = name.lower()
            store[key] = (name, f"{store[key][1]}, {value}" if key in store else value)

    def _join(self) -> None:
        for name, value in self.multi_items():
            self[name] = f"{self[name]}, {value}" if name in self else value

    def multi_items(self) -> list[tuple[str, str]]:
        """All of them as the app sent them, in order, repeated ones by themselves."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]

    def get_list(self, name: str, split_commas: bool = False) -> list[str]:
        """The values of a header, one for each time that the app sent it.

        Args:
            name: its name, in any case.
            split_commas: whether each is split at its commas, too.
        """
        values = [value for key, value in self.multi_items() if key.lower() == name.lower()]
        if self.get(name) != ", ".join(values):
            values = [self[name]] if name in self else []  # it has been changed here
        if split_commas:
            return [part.strip() for value in values for part in value.split(",")]
        return values

    getlist = get_list


class Response(ResponseNames):
    """A :class:`requests.Response`, with what ASGI has beyond that, and with names that httpx has.

    Attributes:
        template: the template that the app rendered, or a stand-in for it (extension ``http.response.debug``); None
            without.
        context: the context that it was rendered with (dict); None without.
        trailers: the trailing headers (extension ``http.response.trailers``); complete when the body has been read.
        early_hints: the ``Link`` values of the early hints that came (extension ``http.response.early_hint``).
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    __attrs__ = [*requests.Response.__attrs__, "template", "context", "trailers", "early_hints"]  # noqa: RUF012

    headers: ResponseHeaders
    """Those of the response, repeated ones joined by commas; ``headers.get_list(name)`` has them one by one."""
    template: Any = None
    context: Any = None
    trailers: CaseInsensitiveDict[str]
    early_hints: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.trailers = CaseInsensitiveDict()
        self.early_hints = []

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        """The body in pieces, as :meth:`requests.Response.iter_content` has it; the app's exceptions are the app's."""
        pieces = super().iter_content(chunk_size, decode_unicode)
        return pieces if vars(self).get(IS_CONSUMED) else self._untranslated(pieces)

    def _untranslated(self, pieces: Iterator[Any]) -> Iterator[Any]:
        """Without what requests makes of urllib3's exceptions, which may be the app's own here."""
        try:
            yield from pieces
        except Exception as error:
            failure = getattr(self.raw, "failure", None)
            if failure is None or failure is error:
                raise
        else:
            return
        reraise(failure)  # behind the other's except clause, so that it is not raised in the context of that

    def json(self, **kwargs: Any) -> Any:
        """The body, decoded; see :meth:`requests.Response.json`."""
        self.content  # noqa: B018 - here, where an app that fails with an error about JSON is none of a decoder's
        return super().json(**kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: of template and context what can be."""
        state = cast(dict[str, Any], super().__getstate__())
        context = state["context"]
        if isinstance(context, dict):
            state["context"] = {key: value for key, value in context.items() if _can_be_pickled(value)}
        for name in ("template", "context"):
            state[name] = state[name] if _can_be_pickled(state[name]) else None
        return state


def build_response(request: requests.PreparedRequest, raw: RawResponse, adapter: Any) -> Response:
    """What :meth:`requests.adapters.HTTPAdapter.build_response` does, for ours."""
    response = Response()
    response.status_code = raw.status
    response.headers = ResponseHeaders(raw.pairs)
    response.encoding = _encoding_of(response.headers.get("content-type"))
    response.raw = raw
    response.reason = raw.reason or ""
    response.url = request.url or ""
    response.request = request
    response.connection = adapter
    if raw.has_cookies:
        extract_cookies_to_jar(response.cookies, request, cast(Any, raw))  # type: ignore[no-untyped-call,unused-ignore]
    return response


@lru_cache(maxsize=128)
def _encoding_of(content_type: str | None) -> str | None:
    return get_encoding_from_headers(CaseInsensitiveDict({"content-type": content_type} if content_type else {}))


def _can_be_pickled(value: object) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True


# -- the body


class Body:
    """The body of a response as a file that is read as it comes.

    Args:
        next_piece: returns the next piece, or None at the end; it may wait, and raise.
        on_close: called when the body is closed before its end; it may wait, and raise.
        on_drop: called when the body is collected before its end; it must not.
        insists: whether what ``next_piece`` has raised is raised by each further read, too. requests goes on after some
            exceptions, by their class, as if they were those of a socket; here they may be the app's.

    Attributes:
        closed: whether nothing more will come, no failure either: it has been read to its end, or was closed.
        failure: what ``next_piece`` has raised, where the body insists on it.

    Example:
        >>> pieces = iter([b"Hello, ", b"world"])
        >>> body = Body(lambda: next(pieces, None), on_close=int, on_drop=int, insists=True)
        >>> body.read(3), body.read1(), body.read(), body.closed
        (b'Hel', b'lo, ', b'world', True)
    """

    closed: bool = True  # where its making has been interrupted
    failure: BaseException | None = None

    def __init__(
        self,
        next_piece: Callable[[], bytes | None],
        on_close: Callable[[], object],
        on_drop: Callable[[], object],
        *,
        insists: bool,
    ) -> None:
        self._next_piece = next_piece
        self._on_close = on_close
        self._on_drop = on_drop
        self._insists = insists
        self._rest = b""
        self.closed = False

    @classmethod
    def of(cls, content: bytes) -> Body:
        """One that is all there."""
        pieces = iter((content,))
        return cls(lambda: next(pieces, None), _nothing, _nothing, insists=False)

    def read(self, amt: int | None = None) -> bytes:
        """Read ``amt`` bytes, fewer only at the end; all of it without ``amt``."""
        pieces = []
        size = 0
        while (amt is None or size < amt) and (piece := self.read1(None if amt is None else amt - size)):
            pieces.append(piece)
            size += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, amt: int | None = None) -> bytes:
        """Read what has come in one piece, at most ``amt`` bytes of it; none only at the end."""
        piece = self._rest or self._pull()
        if amt is None or amt >= len(piece):
            self._rest = b""
            return piece
        self._rest = piece[amt:]
        return piece[:amt]

    def _pull(self) -> bytes:
        piece: bytes | None = b""
        while not self.closed and not piece:
            if self.failure is not None:
                raise _not_of_a_signal(self.failure)
            try:
                piece = self._next_piece()
            except BaseException as error:
                self.failure = error if self._insists else None
                self.closed = not self._insists
                raise
            self.closed = piece is None
        return piece or b""

    def close(self) -> None:
        """Let the app know that nobody reads on."""
        self._rest = b""
        if not self.closed:
            self.closed = True
            if self.failure is None:  # the app's call has ended with it
                self._on_close()

    def __del__(self) -> None:
        if not self.closed and self.failure is None:
            self.closed = True
            self._on_drop()


def _not_of_a_signal(error: BaseException) -> BaseException:
    """The same, told again: what io takes for the interruption by a signal it never tells, but reads on for ever."""
    if isinstance(error, OSError) and error.errno == EINTR:
        error.errno = None
    return error


def _nothing() -> None:
    return None


READ: Final = Body.of(b"")
"""One that has been read already."""
READ.read()
