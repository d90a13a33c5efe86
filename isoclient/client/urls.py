"""URLs as users write them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urljoin, urlsplit

__all__ = ["absolute", "handshake_url"]

_joined = lru_cache(maxsize=512)(urljoin)


def absolute(base: Any, url: Any) -> str:
    """A URL joined to another, as a link is. Either may be an object with a URL as its ``str``, or bytes.

    Example:
        >>> absolute("http://testserver/a/b", "c?d=1")
        'http://testserver/a/c?d=1'
    """
    return str(_joined(_text(base), _text(url)))


def _text(url: Any) -> str:
    if isinstance(url, bytes):
        return url.decode()
    return str(url)


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
