"""The options of a request under the names of requests and under those of httpx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from isoclient.client.body import as_bytes

__all__ = ["check_is_request", "resolve"]

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
    options = {**kwargs, **_named(args, kwargs)}
    _check_content(options)
    if isinstance(options.get("content"), list | tuple):
        options["content"] = iter(options["content"])  # pieces of a body; for requests, a list is the items of a form
    _rename(options, "content", "data")
    if "data" in options:
        options["data"] = as_bytes(options["data"])
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
