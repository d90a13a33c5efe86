"""From a prepared request to the scope of ASGI HTTP 2.5, apart from what the host adds.

That is ``asgi``, ``state`` and ``extensions``.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import requests

__all__ = ["http_scope", "websocket_scope"]

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def http_scope(request: requests.PreparedRequest, root_path: str, client: tuple[str, int]) -> dict[str, Any]:
    """The scope of an HTTP request."""
    url = urlsplit(request.url or "")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        **_common(request, url, url.scheme.lower(), root_path, client),
    }


def websocket_scope(
    request: requests.PreparedRequest, scheme: str, root_path: str, client: tuple[str, int], subprotocols: list[str]
) -> dict[str, Any]:
    """The scope of a WebSocket whose handshake is this request."""
    url = urlsplit(request.url or "")
    return {
        "type": "websocket",
        "http_version": "1.1",
        **_common(request, url, scheme, root_path, client),
        "subprotocols": subprotocols,
    }


def _common(
    request: requests.PreparedRequest, url: SplitResult, scheme: str, root_path: str, client: tuple[str, int]
) -> dict[str, Any]:
    raw_path = url.path or "/"
    host, port = url.hostname or "", url.port or _PORTS[scheme]
    return {
        "scheme": scheme,
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("ascii", "surrogateescape") if raw_path.isascii() else raw_path.encode(),
        "query_string": url.query.encode(),
        "root_path": root_path,
        "headers": _headers(request, host, port, scheme),
        "client": client,
        "server": (host, port),
    }


def _headers(request: requests.PreparedRequest, host: str, port: int, scheme: str) -> list[tuple[bytes, bytes]]:
    headers = [(_bytes(name).lower(), _bytes(value)) for name, value in request.headers.items()]
    if "host" not in request.headers:
        name = f"[{host}]" if ":" in host else host
        headers.insert(0, (b"host", _bytes(name if port == _PORTS[scheme] else f"{name}:{port}")))
    return headers


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
