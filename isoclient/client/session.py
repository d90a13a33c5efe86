"""The session of requests, without the work that changes nothing for the requests that tests send most.

requests merges each request with its session and its environment, and quotes its URL, as if all of that could differ
each time: that is most of what a request costs. Where there is nothing to merge, and where a URL has been seen before,
this makes the same request without. All else goes requests' own way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from operator import is_
from typing import Any, cast

import requests
from requests.cookies import RequestsCookieJar, merge_cookies
from requests.sessions import merge_hooks, merge_setting
from requests.structures import CaseInsensitiveDict
from requests.utils import check_header_validity

from isoclient.client import unpatched
from isoclient.client.cookies import as_cookies
from isoclient.client.headers import as_headers
from isoclient.compat.requests_ import COOKIES, IS_KNOWN, PLAIN_HEADERS, STORE

__all__ = ["Session"]

_merge: Any = merge_setting  # these are untyped in some versions of requests, or of its stubs
_merge_cookies: Any = merge_cookies
_merge_hooks: Any = merge_hooks

_Fields = dict[str, tuple[str, Any]]  # by name in lower case: name and value, as CaseInsensitiveDict keeps them


class Session(unpatched.Session):
    """A :class:`requests.Session` that prepares plain requests faster, to the same result."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        # What the headers of the session were, and what they are in a request: one value, for threads may race here.
        self._known_headers: tuple[list[tuple[str, Any]], _Fields | None] = ([], {})

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
            prepared.prepare_headers(_merge(own, self.headers, dict_class=CaseInsensitiveDict))
            return
        prepared.headers = CaseInsensitiveDict()
        vars(prepared.headers)[STORE].update(common)
        for name, value in own.items():
            check_header_validity((name, value))
            prepared.headers[name] = value

    def _common_headers(self) -> _Fields | None:
        """Those of the session, if they go into every request as they are; looked at when they have changed."""
        headers: Any = self.headers
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
        cookies = self.cookies
        if len(cookies) or not IS_KNOWN:
            prepared.prepare_cookies(_merge_cookies(RequestsCookieJar(), cookies))
        else:
            vars(prepared)[COOKIES] = RequestsCookieJar()  # which gives no header

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Merge what is not part of the request, as :meth:`requests.Session.merge_environment_settings` does."""
        if self.trust_env or proxies or self.proxies:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {
            "proxies": OrderedDict(),
            "stream": bool(self.stream) if stream is None else stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }


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
