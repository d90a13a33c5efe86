"""The headers of a request and its cookies, in whichever form they are given; headers also that come more than once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.cookiejar import CookieJar
from typing import Any

from requests.cookies import RequestsCookieJar, remove_cookie_by_name
from requests.exceptions import InvalidHeader
from requests.structures import CaseInsensitiveDict

__all__ = ["Cookies", "Repeated", "as_cookies", "as_headers", "as_jar"]


class Repeated(str):
    """The value of a request's header that comes more than once: their text is joined, as HTTP has it (RFC 9110, 5.3).

    requests has one value for each name. This one passes through it as any text does, and has its parts with it.

    Attributes:
        parts: the single values (tuple of str and bytes).
    """

    __slots__ = ("parts",)

    parts: tuple[str | bytes, ...]

    @classmethod
    def of(cls, name: str, parts: Iterable[Any]) -> Repeated:
        """The value for the header of this name.

        Raises:
            requests.exceptions.InvalidHeader: a part is neither str nor bytes.
        """
        parts = tuple(parts)
        for part in parts:
            if not isinstance(part, str | bytes):
                raise InvalidHeader(f"the header {name!r} must be str or bytes, not {type(part).__name__}: {part!r}")
        texts = (part if isinstance(part, str) else part.decode("latin-1") for part in parts)
        value = cls(("; " if name.lower() == "cookie" else ", ").join(texts))
        value.parts = parts
        return value

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return hash(self.parts)  # what is cached for such headers is not for one header with the same text


def as_headers(given: Any) -> Mapping[Any, Any]:
    """Headers as requests takes them: a mapping; what has a name more than once gets a :class:`Repeated` for it.

    Args:
        given: a mapping, which may be one of several values (httpx's, Starlette's, urllib3's, multidict's); or
            ``(name, value)`` pairs, of str or bytes. None is none.

    Raises:
        TypeError: it is none of these.

    Example:
        >>> as_headers([("X-A", "1"), (b"x-a", "2"), ("accept", "*/*")])
        {'X-A': '1, 2', 'accept': '*/*'}
    """
    if type(given) is dict or type(given) is CaseInsensitiveDict:
        return given
    grouped: dict[str, tuple[str, list[Any]]] = {}
    for name, value in _pairs(given):
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        grouped.setdefault(text.lower(), (text, []))[1].append(value)
    return {name: of[0] if len(of) == 1 else Repeated.of(name, of) for name, of in grouped.values()}


def _pairs(given: Any) -> list[tuple[Any, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        given = given.multi_items() if hasattr(given, "multi_items") else given.items()
    try:
        pairs = [(name, value) for name, value in given]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    if not all(isinstance(name, str | bytes) for name, _ in pairs):
        raise TypeError(f"headers are a mapping or pairs of name and value, not {given!r:.200}")
    return pairs


# -- cookies


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
