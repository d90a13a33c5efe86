"""The options of a request under the names of requests and under those of httpx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from isoclient.client.body import as_bytes

__all__ = ["REQUEST_OPTIONS", "resolve", "with_body"]

_POSITIONAL: Final = ("params", "data", "headers", "cookies", "files", "auth", "timeout", "allow_redirects")
REQUEST_OPTIONS: Final = frozenset(
    {*_POSITIONAL, "proxies", "hooks", "stream", "verify", "cert", "json", "content", "follow_redirects"}
)
"""What :meth:`isoclient.TestClient.request` takes beside method and URL, if by name."""


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


def with_body(args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The options, with the body that may be given by position."""
    if len(args) > 1:
        raise TypeError(f"a request takes its URL and its body by position, and not {len(args) - 1} more")
    if args and "data" in options:
        raise TypeError("the body is given twice: by position and as data=")
    return {"data": args[0], **options} if args else options


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
