"""What an app, or its middleware, puts into the scope that it was called with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from isoclient.wire.frames import dumps

__all__ = ["ScopeNews", "added_extension"]

_LARGEST: Final = 64 * 1024  # bytes
_ELSEWHERE: Final = "state"  # may be large, and is the app's more than the call's: see ``client.app_state``
_FIXED: Final = (str, bytes, int, float, bool, type(None))


class ScopeNews:
    """Tells what has come into a scope and what has changed there, of plain values that are not large.

    What is neither is left out. That is found out once for each object, as it is asked before each message.

    Args:
        scope: the scope, as the test has it too.

    Example:
        >>> scope = {"path": "/"}
        >>> news = ScopeNews(scope)
        >>> scope.update(user="ada", app=object(), session={})
        >>> news.take()
        {'user': 'ada', 'session': {}}
        >>> scope["session"]["cart"] = [1]
        >>> news.take(), news.take()
        ({'session': {'cart': [1]}}, {})
    """

    def __init__(self, scope: dict[str, Any]) -> None:
        self._scope = scope
        self._settled: dict[str, object] = dict(scope)  # nothing more is to be told of these objects
        self._told: dict[str, bytes] = {}

    def take(self) -> dict[str, Any]:
        """The keys that are new or have another value since the last time."""
        news = {}
        for key, value in tuple(self._scope.items()):
            if self._settled.get(key, self) is value or key == _ELSEWHERE:
                continue
            dumped = _dumped(key, value)
            if dumped is None or type(value) in _FIXED:
                self._settled[key] = value
            if dumped is not None and self._told.get(key) != dumped:
                self._told[key] = dumped
                news[key] = value
        return news


def _dumped(key: object, value: object) -> bytes | None:
    """The value as bytes; None if it can't cross, or should not."""
    if type(key) is not str:
        return None
    try:
        dumped = dumps(value)
    except Exception:  # a mapping of the app may raise anything
        return None
    return dumped if len(dumped) <= _LARGEST else None


def added_extension(kind: str, scope: Mapping[str, Any], offered: Collection[str]) -> str | None:
    """The extension in the scope that a type of message is of, if it is none of those that the server has put there.

    Example:
        >>> added_extension("http.response.push", {"extensions": {"http.response.push": {}}}, ())
        'http.response.push'
    """
    extensions = scope.get("extensions")
    for name in extensions if isinstance(extensions, Mapping) else ():
        if isinstance(name, str) and name not in offered and (kind == name or kind.startswith(f"{name}.")):
            return name
    return None
