"""Our session prepares a request exactly as that of requests does; only faster."""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import CookieJar
from itertools import product
from typing import Any

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from isoclient.client.session import Session

Change = Callable[[requests.Session], object]


def _nothing(_: object) -> None:
    pass


SESSIONS: dict[str, Change] = {
    "plain": _nothing,
    "headers": lambda session: session.headers.update({"X-A": "1", "accept": "text/html", "x-bytes": b"2"}),
    "header taken away": lambda session: session.headers.update({"Accept": None}),  # type: ignore[dict-item]
    "headers in a dict": lambda session: setattr(session, "headers", {"x-a": "1"}),
    "no headers": lambda session: setattr(session, "headers", CaseInsensitiveDict()),
    "bad header": lambda session: session.headers.update({"x-a": "line\nbreak"}),
    "params": lambda session: setattr(session, "params", {"page": "1"}),
    "auth": lambda session: setattr(session, "auth", ("ada", "secret")),
    "empty auth": lambda session: setattr(session, "auth", ()),
    "cookies": lambda session: session.cookies.update({"theme": "dark"}),
    "a jar of another kind": lambda session: setattr(session, "cookies", CookieJar()),
    "hooks": lambda session: session.hooks["response"].append(_nothing),
    "proxies": lambda session: setattr(session, "proxies", {"http": "http://proxy"}),
}

_URL = "http://testserver/a%20b/ü?q=a b&c=%7e#part"

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quoting": {"url": _URL},
    "no path": {"url": "http://testserver"},
    "another port": {"url": "https://testserver:8443/x"},
    "upper case": {"url": "HTTP://TestServer/X"},
    "international": {"url": "http://bücher.example/"},
    "bytes": {"url": b"http://testserver/x"},
    "credentials in the URL": {"url": "http://ada:secret@testserver/"},
    "another scheme": {"url": "mailto:ada@example.com"},
    "no scheme": {"url": "testserver/x"},
    "no host": {"url": "http:///x"},
    "wildcard": {"url": "http://*.example/"},
    "params": {"params": {"a": [1, 2], "b": None}},
    "params as text": {"params": "a=1"},
    "params beside a query": {"url": _URL, "params": {"z": "1"}},
    "empty params": {"params": {}},
    "headers": {"headers": {"X-A": "1", "ACCEPT": "text/css"}},
    "header taken away": {"headers": {"accept": None}},
    "header of bytes": {"headers": {b"x-a": b"1"}},
    "header twice": {"headers": {"x-a": "1", "X-A": "2"}},
    "bad header": {"headers": {"x-a": "line\nbreak"}},
    "header of a wrong type": {"headers": {"x-a": 1}},
    "headers of another kind": {"headers": CaseInsensitiveDict({"X-A": "1"})},
    "cookie header": {"headers": {"Cookie": "a=1"}},
    "cookies": {"cookies": {"a": "1"}},
    "cookie jar": {"cookies": CookieJar()},
    "auth": {"auth": ("ada", "secret")},
    "no auth": {"auth": ()},
    "form": {"method": "POST", "data": {"a": "1"}},
    "body": {"method": "POST", "data": b"data"},
    "json": {"method": "POST", "json": {"a": [1, None]}},
    "json that is none": {"method": "POST", "json": {"a": object()}},
    "no body": {"method": "post"},
    "files": {"method": "PUT", "files": {"a": b""}, "data": {"b": "2"}},
    "hooks": {"hooks": {"response": _nothing}},
}


def _prepared(session: requests.Session, parts: dict[str, Any]) -> dict[str, Any]:
    """All that makes a prepared request, in plain values; or its failure."""
    try:
        request = session.prepare_request(requests.Request(**{"method": "GET", "url": "http://testserver/", **parts}))
    except Exception as error:
        return {"error": (type(error), str(error))}
    return {
        **vars(request),
        "headers": list(request.headers.items()),
        "_cookies": (type(request._cookies), request._cookies.get_dict()),  # type: ignore[attr-defined,unused-ignore]
        "body": request.body if not parts.get("files") else "",  # its boundary is random
    }


def _made(kind: type[requests.Session], change: Change) -> requests.Session:
    session = kind()
    session.trust_env = False
    change(session)
    return session


def _without_boundary(prepared: dict[str, Any]) -> dict[str, Any]:
    headers = [(name, str(value).partition("; boundary=")[0]) for name, value in prepared.get("headers", [])]
    return {**prepared, "headers": headers}


@pytest.mark.parametrize("parts", REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_prepared_as_by_requests(parts: dict[str, Any]) -> None:
    for name, change in SESSIONS.items():
        theirs = _prepared(_made(requests.Session, change), parts)
        ours = _made(Session, change)
        for _ in range(2):  # the second time, what has been seen before is used
            assert _without_boundary(_prepared(ours, parts)) == _without_boundary(theirs), name


@pytest.mark.parametrize("change", SESSIONS.values(), ids=SESSIONS)
def test_settings_are_merged_as_by_requests(change: Change) -> None:
    choices = [(None, None, None), (True, False, "cert"), (False, "bundle", ("cert", "key"))]
    for proxies, options in product([{}, {"https": "http://other"}], choices):
        theirs = _made(requests.Session, change).merge_environment_settings("http://testserver/", proxies, *options)
        ours = _made(Session, change).merge_environment_settings("http://testserver/", proxies, *options)
        assert ours == theirs, (proxies, options)


def test_a_change_of_the_headers_is_seen() -> None:
    session = Session()

    def sent() -> list[tuple[str, Any]]:
        return list(session.prepare_request(requests.Request("GET", "http://testserver/")).headers.items())

    before = sent()
    session.headers["x-a"] = "1"
    assert sent() == [*before, ("x-a", "1")]
    session.headers["x-a"] = "2"
    assert sent() == [*before, ("x-a", "2")]
    first = next(iter(session.headers))
    session.headers[first] = session.headers.pop(first)
    assert [name for name, _ in sent()] == list(session.headers)  # their order too
    del session.headers["x-a"], session.headers[first]
    assert sent() == before[1:]


def test_what_one_request_changes_is_not_seen_by_the_next() -> None:
    session = Session()
    request = requests.Request("GET", "http://testserver/")
    first = session.prepare_request(request)
    first.headers["x-a"] = "1"
    first.hooks["response"].append(print)
    second = session.prepare_request(request)
    assert "x-a" not in second.headers
    assert second.hooks["response"] == []


def test_the_environment_counts_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    session = Session()
    assert session.merge_environment_settings("http://example.com/", {}, None, None, None)["proxies"] == {}
    session.trust_env = True
    proxies = session.merge_environment_settings("http://example.com/", {}, None, None, None)["proxies"]
    assert proxies["http"] == "http://proxy"
