"""The session of requests: its requests in any form that a user may write, and prepared without needless work.

requests merges each request with its session and its environment, and quotes its URL, as if all of that could differ
each time: that is most of what a request costs. Where there is nothing to merge, and where a URL has been seen before,
this makes the same request without. All else goes requests' own way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from operator import is_
from typing import Any, Final, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.cookies import RequestsCookieJar, merge_cookies
from requests.sessions import merge_hooks, merge_setting
from requests.structures import CaseInsensitiveDict
from requests.utils import check_header_validity

from isoclient.client import unpatched
from isoclient.client.asgi_request import as_bytes
from isoclient.client.headers import Cookies, as_cookies, as_headers, as_jar
from isoclient.compat.requests_ import COOKIES, IS_KNOWN, PLAIN_HEADERS, STORE

__all__ = ["Session", "absolute", "check_is_request", "handshake_url", "read_timeout", "resolve"]

_merge: Any = merge_setting  # these are untyped in some versions of requests, or of its stubs
_merge_cookies: Any = merge_cookies
_merge_hooks: Any = merge_hooks

_POSITIONAL: Final = ("params", "data", "headers", "cookies", "files", "auth", "timeout", "allow_redirects")
_OF_MOCK: Final = frozenset(
    {"new", "return_value", "side_effect", "autospec", "new_callable", "spec", "spec_set", "create", "wraps"}
)

_Fields = dict[str, tuple[str, Any]]  # by name in lower case: name and value, as CaseInsensitiveDict keeps them


class Session(unpatched.Session):
    """A :class:`requests.Session` that prepares plain requests faster, to the same result.

    Its headers, its cookies and what it streams may be set in the forms of httpx, too.
    """

    def __init__(self) -> None:
        self._stream = False
        super().__init__()
        self.cookies = Cookies()
        self.trust_env = False
        # What the headers of the session were, and what they are in a request: one value, for threads may race here.
        self._known_headers: tuple[list[tuple[str, Any]], _Fields | None] = ([], {})

    @property  # type: ignore[override,unused-ignore]
    def headers(self) -> CaseInsensitiveDict[str | bytes]:
        """Those of all requests. They may be set: a mapping, or pairs of name and value."""
        return cast(CaseInsensitiveDict[str | bytes], self._headers)

    @headers.setter
    def headers(self, headers: Any) -> None:
        given = as_headers(headers)
        self._headers: Any = given if isinstance(given, CaseInsensitiveDict) else CaseInsensitiveDict(given)

    @property  # type: ignore[override,unused-ignore]
    def cookies(self) -> Cookies:
        """Those of all requests. They may be set: a jar, a mapping, or pairs of name and value."""
        return cast(Cookies, self._cookies)

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        self._cookies: Any = as_jar(cookies)

    @property
    def stream(self) -> Any:
        """``with client.stream(method, url) as response``: a streamed response, whose ``iter_lines`` gives str.

        Its options are those of :meth:`request`. As in requests it is also whether all responses are streamed, and may
        be set.
        """
        return _Stream(_streamed, self)

    @stream.setter
    def stream(self, stream: Any) -> None:
        self._stream = bool(stream)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Merge a request with the session, as :meth:`requests.Session.prepare_request` does."""
        if type(request.headers) is not dict:
            request.headers = as_headers(request.headers)
        if request.cookies and type(request.cookies) is not dict:
            request.cookies = as_cookies(request.cookies)
        if type(request.url) is not str or not self._is_plain(request):
            return super().prepare_request(request)
        prepared: Any = unpatched.PreparedRequest()
        prepared.prepare_method(request.method)
        prepared.url = _prepared_url(request.url)
        self._put_headers(prepared, request.headers)
        self._put_cookies(prepared)
        prepared.prepare_body(request.data, request.files, request.json)
        prepared.prepare_hooks(_merge_hooks(request.hooks, self.hooks))
        return cast(requests.PreparedRequest, prepared)

    def _is_plain(self, request: Any) -> bool:
        """Whether there are no parameters, no credentials and no cookies of its own to merge."""
        return not (
            self.trust_env
            or request.params
            or self.params
            or request.auth is not None
            or self.auth is not None
            or "@" in request.url  # it may hold credentials
            or request.cookies
        )

    def _put_headers(self, prepared: Any, own: Mapping[Any, Any]) -> None:
        common = self._common_headers()
        if common is None or (own and not _is_simple(own)):
            prepared.prepare_headers(_merge(own, self._headers, dict_class=CaseInsensitiveDict))
            return
        prepared.headers = CaseInsensitiveDict()
        vars(prepared.headers)[STORE].update(common)
        for name, value in own.items():
            check_header_validity((name, value))
            prepared.headers[name] = value

    def _common_headers(self) -> _Fields | None:
        """Those of the session, if they go into every request as they are; looked at when they have changed."""
        headers: Any = self._headers
        if type(headers) is not PLAIN_HEADERS:
            return None
        now = list(vars(headers)[STORE].values())
        before, common = self._known_headers
        # By identity: what is sent for two values of the same text may differ, see Repeated.
        if len(now) != len(before) or not all(map(is_, now, before)):
            common = _checked(headers)
            self._known_headers = now, common
        return common

    def _put_cookies(self, prepared: Any) -> None:
        cookies = self._cookies
        if len(cookies) or not IS_KNOWN:
            prepared.prepare_cookies(_merge_cookies(RequestsCookieJar(), cookies))
        else:
            vars(prepared)[COOKIES] = RequestsCookieJar()  # which gives no header

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Merge what is not part of the request, as :meth:`requests.Session.merge_environment_settings` does."""
        stream = self._stream if stream is None else stream
        if self.trust_env or proxies or self.proxies:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {
            "proxies": OrderedDict(),
            "stream": stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }


class _Stream(partial[Any]):
    """``client.stream``: what requests has as a flag, and httpx as a method. requests asks for it with each request."""

    def __bool__(self) -> bool:
        return bool(self.args[0]._stream)


@contextmanager
def _streamed(client: Any, method: str, url: Any, **options: Any) -> Iterator[Any]:
    response = client.request(method, url, **options, stream=True)
    response.lines_are_text = True
    with response:
        yield response


def _is_simple(headers: Mapping[Any, Any]) -> bool:
    """Whether there is none to take away (None), and none whose name is to be converted."""
    return None not in headers.values() and all(type(name) is str for name in headers)


def _checked(headers: Any) -> _Fields | None:
    prepared: Any = unpatched.PreparedRequest()
    try:
        prepared.prepare_headers(headers)
    except requests.exceptions.InvalidHeader:
        return None  # which is no error in a request that has a better value for it
    return dict(vars(prepared.headers)[STORE]) if _is_simple(headers) else None


@lru_cache(maxsize=512)
def _prepared_url(url: str) -> str | None:
    prepared = unpatched.PreparedRequest()
    prepared.prepare_url(url, None)
    return prepared.url


# -- what a user says of a request


def resolve(args: tuple[Any, ...], kwargs: dict[str, Any], *, follow_redirects: bool) -> dict[str, Any]:
    """The options of :meth:`requests.Session.request` for what a test has written.

    Args:
        args: those given by position, in the order of requests.
        kwargs: those given by name.
        follow_redirects: what holds where none of them says so.

    Raises:
        TypeError: the same is given twice.

    Example:
        >>> resolve((), {"content": "text", "follow_redirects": False}, follow_redirects=True)
        {'data': 'text', 'allow_redirects': False}
    """
    options = {**kwargs, **_named(args, kwargs)} if args else dict(kwargs)
    if "content" in options:
        _check_content(options)
        if isinstance(options["content"], list | tuple):
            options["content"] = iter(options["content"])  # pieces of a body; for requests, the items of a form
        _rename(options, "content", "data")
    if options.get("data") is not None:
        options["data"] = as_bytes(options["data"])
    if "follow_redirects" in options:
        _rename(options, "follow_redirects", "allow_redirects")
    if options.get("allow_redirects") is None:
        options["allow_redirects"] = follow_redirects
    return options


def check_is_request(url: Any, data: Any, options: Mapping[str, Any]) -> None:
    """See that ``client.patch`` is not called for what ``client.patched`` does.

    Raises:
        TypeError: there is an option of :func:`unittest.mock.patch`; or the URL is a dotted name, and the body is none.

    Example:
        >>> check_is_request("shop.charge", None, {"return_value": "paid"})
        Traceback (most recent call last):
            ...
        TypeError: patch() sends a request, which takes no return_value=; ...
    """
    foreign = next((f"{name}=" for name in options if name in _OF_MOCK), None)
    if foreign is None and (callable(data) or isinstance(data, int | float)) and _is_dotted(url):
        foreign = f"{type(data).__name__} as its body"
    if foreign is not None:
        raise TypeError(
            f"patch() sends a request, which takes no {foreign}; what patches something in the app is "
            f"client.patched({url!r}, ...)"
        )


def _is_dotted(url: Any) -> bool:
    parts = url.split(".") if isinstance(url, str) else ()
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _named(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    if len(args) > len(_POSITIONAL):
        raise TypeError(f"request() takes at most {len(_POSITIONAL)} options by position, not {len(args)}")
    named = dict(zip(_POSITIONAL, args, strict=False))
    for name in named:
        if name in kwargs:
            raise TypeError(f"request() got {name} both by position and by name")
    return named


def _check_content(options: Mapping[str, Any]) -> None:
    if options.get("content") is None:
        return
    for other in ("json", "files"):
        if options.get(other) is not None:
            raise TypeError(f"content= and {other}= are both the body of the request: give one of them")
    if isinstance(options["content"], Mapping):
        raise TypeError("content= is a body as it is, str or bytes or an iterable of bytes; a form is given as data=")


def _rename(options: dict[str, Any], alias: str, name: str) -> None:
    value = options.pop(alias, None)
    if value is None:
        return
    if options.get(name) is not None:
        raise TypeError(f"{alias}= and {name}= mean the same: give one of them")
    options[name] = value


_joined = lru_cache(maxsize=512)(urljoin)


def absolute(base: Any, url: Any) -> str:
    """A URL joined to another, as a link is. Either may be an object with a URL as its ``str``, or bytes.

    Example:
        >>> absolute("http://testserver/a/b", "c?d=1")
        'http://testserver/a/c?d=1'
    """
    if type(base) is not str or type(url) is not str:
        base, url = (each.decode() if isinstance(each, bytes) else str(each) for each in (base, url))
    return str(_joined(base, url))


@lru_cache(maxsize=512)
def handshake_url(url: str) -> str:
    """The URL of a WebSocket with the scheme that requests knows.

    Example:
        >>> handshake_url("wss://testserver/chat")
        'https://testserver/chat'
    """
    scheme = urlsplit(url).scheme.lower()
    known = {"ws": "http", "wss": "https"}.get(scheme)
    return url if known is None else known + url[len(scheme) :]


def read_timeout(timeout: Any, default: float | None) -> float | None:
    """The seconds that a wait may take.

    Args:
        timeout: seconds; or requests' ``(connect, read)``, of which the second counts; or a :class:`urllib3.Timeout`;
            or None for the default.
        default: that of the client.

    Example:
        >>> read_timeout((3.05, 27), 60.0)
        27.0
    """
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    elif isinstance(timeout, urllib3.Timeout):
        timeout = timeout.read_timeout
    return default if timeout is None else float(timeout)
