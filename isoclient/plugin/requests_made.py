"""What a request has come to, in a line."""

from __future__ import annotations

import http
from typing import Any, Final

from isoclient.client.answers import Answer
from isoclient.transit.bounds import shortened

__all__ = ["line_of"]

_LONGEST: Final = 200  # characters of a body
_TEXT: Final = ("text/", "application/json", "application/xml", "application/problem+json", "application/javascript")


def line_of(answer: Answer) -> str:
    """A request, and what has come of it.

    Example:
        >>> answer = Answer({"method": "GET", "path": "/tea", "query_string": b"cups=2"})
        >>> answer.take({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        >>> answer.take({"type": "http.response.body", "body": b"no tea"})
        >>> answer.end()
        >>> print(line_of(answer), end="")
        GET /tea?cups=2: 404 Not Found, 'no tea'
    """
    query = f"?{answer.query.decode('latin-1')}" if answer.query else ""
    return f"{answer.method} {shortened(answer.path + query, _LONGEST)}: {_came(answer)}\n"


def _came(answer: Answer) -> str:
    seconds = f"{answer.seconds_so_far:.1f} s"
    where = f", when the app was at {answer.where}" if answer.where else ""
    if answer.is_cancelled:
        # By a time limit, Ctrl-C, the end of the event loop or the test: who waited for it does not know.
        begun = f"{_responded(answer)}, then " if answer.status is not None else ""
        return f"{begun}cancelled after {seconds}{where}"
    if answer.where is not None:
        return f"ended from outside after {seconds}{where}"
    if answer.raised is not None:
        return f"raised {answer.raised}"
    if answer.status is None:
        return f"under way for {seconds}" if answer.seconds is None else "no response"
    return _responded(answer)


def _responded(answer: Answer) -> str:
    return f"{answer.status} {_phrase(answer.status or 0)}".rstrip() + _body(answer)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _body(answer: Answer) -> str:
    kind = _header(answer.headers, b"content-type")
    if not answer.body or _header(answer.headers, b"content-encoding"):
        return ""
    if kind and not kind.startswith(_TEXT) and "+json" not in kind:
        return f", {kind}"
    text = answer.body.decode("utf-8", "replace").removesuffix("\N{REPLACEMENT CHARACTER}")  # cut amid a character
    if not kind and not text.isprintable():
        return ""
    return f", {text[:_LONGEST]!r}" + "..." * (len(text) > _LONGEST)


def _header(headers: Any, name: bytes) -> str:
    found = next((value for key, value in headers if bytes(key).lower() == name), b"")
    return bytes(found).decode("latin-1").lower()
