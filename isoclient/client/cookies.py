"""Cookies, in whichever form they are given."""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import Any

from requests.cookies import RequestsCookieJar, remove_cookie_by_name

__all__ = ["Cookies", "as_cookies", "as_jar"]


class Cookies(RequestsCookieJar):
    """The jar of a client: that of requests, with what httpx's has beyond it."""

    @property
    def jar(self) -> CookieJar:
        """Itself: httpx has its jar within."""
        return self

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Delete a cookie, from all domains and paths that are not given; as in httpx, it need not be there."""
        remove_cookie_by_name(self, name, domain, path)  # type: ignore[no-untyped-call,unused-ignore]


def as_cookies(given: Any) -> Any:
    """Cookies as requests takes them: a jar, or a dict.

    Args:
        given: a jar, a mapping, ``(name, value)`` pairs, or httpx's ``Cookies``. None is none.

    Raises:
        TypeError: it is none of these.

    Example:
        >>> as_cookies([("a", "1"), ("b", "2")])
        {'a': '1', 'b': '2'}
    """
    jar = getattr(given, "jar", given)
    if isinstance(jar, CookieJar):
        return jar
    try:
        return dict(given or {})
    except (TypeError, ValueError):
        raise TypeError(f"cookies are a jar, a mapping or pairs of name and value, not {given!r:.200}") from None


def as_jar(given: Any) -> CookieJar:
    """The same, as a jar: the one that is given, or one of the client's kind."""
    if isinstance(given, CookieJar):
        return given
    jar = Cookies()
    jar.update(as_cookies(given))
    return jar
