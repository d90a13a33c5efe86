"""What a user says of a request, in any of the forms that it may have, as what requests takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3

from isoclient.client.asgi_request import as_bytes

__all__ = ["absolute", "check_is_request", "handshake_url", "read_timeout", "resolve"]

_POSITIONAL: Final = ("params", "data", "headers", "cookies", "files", "auth", "timeout", "allow_redirects")
_OF_MOCK: Final = frozenset(
    {"new", "return_value", "side_effect", "autospec", "new_callable", "spec", "spec_set", "create", "wraps"}
)


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
