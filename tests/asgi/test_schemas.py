"""What a message may hold: how values are normalised, and what is said about those that are refused."""

from __future__ import annotations

import array
import enum
import marshal
import sys
import types
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest

from isoclient.asgi import HTTPRules, LifespanRules, Message, WebSocketRules
from isoclient.asgi.schemas import short
from isoclient.errors import AppProtocolError

Rules = HTTPRules | WebSocketRules | LifespanRules

WITH_HEADERS = ["http.response.start", "http.response.trailers", "websocket.accept", "websocket.http.response.start"]


class Text(str):
    __slots__ = ()


class Octets(bytes):
    def __bytes__(self) -> bytes:
        raise AssertionError("app code ran")


class Kind(enum.StrEnum):
    START = "http.response.start"


class NoRepr:
    def __repr__(self) -> str:
        raise LookupError("no repr")


class NoItems:
    def __iter__(self) -> Iterator[bytes]:
        raise LookupError("no items")


class NoKeys(UserDict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise LookupError("no keys")


def ready(kind: str) -> Rules:
    """Rules in a state in which a message of this type may be sent."""
    before: list[Message] = []
    rules: Rules
    if kind.startswith("lifespan."):
        rules = LifespanRules()
        rules.delivered("lifespan.startup")
        return rules
    if kind.startswith("websocket."):
        rules = WebSocketRules()
        if kind in ("websocket.send", "websocket.close"):
            before = [{"type": "websocket.accept"}]
        elif kind == "websocket.http.response.body":
            before = [{"type": "websocket.http.response.start", "status": 403}]
    else:
        rules = HTTPRules()
        if kind in ("http.response.body", "http.response.pathsend", "http.response.trailers"):
            trailers = kind == "http.response.trailers"
            before = [{"type": "http.response.start", "status": 200, "trailers": trailers}]
            before += [{"type": "http.response.body"}] if trailers else []
    for message in before:
        rules.check(message)
    return rules


def released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


@pytest.mark.parametrize(
    ("kind", "sent", "read"),
    [
        ("http.response.start", {"status": 200}, {"status": 200, "headers": [], "trailers": False}),
        ("http.response.body", {}, {"body": b"", "more_body": False}),
        ("http.response.trailers", {"headers": ()}, {"headers": [], "more_trailers": False}),
        ("websocket.accept", {}, {"subprotocol": None, "headers": []}),
        ("websocket.send", {"text": "x"}, {"text": "x", "bytes": None}),
        ("websocket.send", {"bytes": b"x"}, {"text": None, "bytes": b"x"}),
        ("websocket.close", {}, {"code": 1000, "reason": ""}),
        ("websocket.http.response.start", {"status": 403}, {"status": 403, "headers": [], "trailers": False}),
        ("websocket.http.response.body", {}, {"body": b"", "more_body": False}),
        ("lifespan.startup.complete", {}, {}),
        ("lifespan.startup.failed", {}, {"message": ""}),
    ],
)
def test_keys_that_are_missing_get_their_defaults(kind: str, sent: Message, read: Message) -> None:
    assert ready(kind).check({"type": kind, **sent}) == {"type": kind, **read}


@pytest.mark.parametrize(
    ("kind", "key", "sent", "read"),
    [
        ("http.response.start", "status", HTTPStatus.CREATED, 201),
        ("http.response.start", "status", 100, 100),
        ("http.response.start", "status", 999, 999),
        ("http.response.body", "body", bytearray(b"x"), b"x"),
        ("http.response.body", "body", memoryview(b"abcd")[::2], b"ac"),
        ("http.response.body", "body", memoryview(array.array("H", [1])), (1).to_bytes(2, sys.byteorder)),
        ("http.response.body", "body", Octets(b"x"), b"x"),
        ("http.response.body", "more_body", True, True),
        ("http.response.pathsend", "path", Text("/srv/\udcff"), "/srv/\udcff"),
        ("http.response.early_hint", "links", (bytearray(b"</a>"),), [b"</a>"]),
        ("http.response.debug", "info", {"template": len}, {"template": len}),
        ("websocket.accept", "subprotocol", Text("v2.example"), "v2.example"),
        ("websocket.accept", "subprotocol", "", ""),
        ("websocket.send", "text", "", ""),
        ("websocket.send", "text", "zażółć \U0001f600", "zażółć \U0001f600"),
        ("websocket.send", "bytes", b"", b""),
        ("websocket.close", "code", 4999, 4999),
        ("websocket.close", "code", 3000, 3000),
        ("websocket.close", "reason", None, ""),
        ("websocket.close", "reason", "going away", "going away"),
        ("lifespan.startup.failed", "message", Text("no database"), "no database"),
    ],
)
def test_values_become_exact_builtins(kind: str, key: str, sent: object, read: object) -> None:
    required = {"status": 200} if kind == "http.response.start" else {}
    value = ready(kind).check({"type": kind, **required, key: sent})[key]
    assert value == read
    assert type(value) is type(read)


HEADER_SHAPES: list[Callable[[], object]] = [
    lambda: [(b"x-a", b"1"), (b"x-b", b"")],
    lambda: ((b"x-a", b"1"), [b"x-b", b""]),
    lambda: iter([iter([b"x-a", b"1"]), (b"x-b", b"")]),
    lambda: [(b"X-A", b"1"), (Octets(b"X-b"), Octets(b""))],
    lambda: [(bytearray(b"x-a"), memoryview(b"1")), (memoryview(b"X-B"), bytearray())],
    lambda: {b"x-a": b"1", b"x-b": b""}.items(),
]


@pytest.mark.parametrize("make", HEADER_SHAPES)
@pytest.mark.parametrize("kind", WITH_HEADERS)
def test_headers_become_pairs_of_bytes_in_lower_case(kind: str, make: Callable[[], object]) -> None:
    read = ready(kind).check({"type": kind, "status": 200, "headers": make()})["headers"]
    if kind == "websocket.accept":  # of which the test gets the names as they were sent
        read = [(name.lower(), value) for name, value in read]
    assert read == [(b"x-a", b"1"), (b"x-b", b"")]
    assert all(type(header) is tuple and [type(part) for part in header] == [bytes, bytes] for header in read)


def test_the_headers_of_an_acceptance_keep_their_case() -> None:
    headers = [(b"X-Own", b"1"), [bytearray(b"X-Other"), memoryview(b"2")], (b"x-third", b"3")]
    read = WebSocketRules().check({"type": "websocket.accept", "headers": headers})["headers"]
    assert read == [(b"X-Own", b"1"), (b"X-Other", b"2"), (b"x-third", b"3")]


def test_transfer_encoding_is_a_header_like_others() -> None:
    headers = [(b"Transfer-Encoding", b"chunked"), (b"te", b"trailers")]
    for kind in ("http.response.start", "websocket.http.response.start"):
        read = ready(kind).check({"type": kind, "status": 200, "headers": headers})["headers"]
        assert read == [(b"transfer-encoding", b"chunked"), (b"te", b"trailers")]


def test_a_denial_response_has_no_trailers() -> None:
    kind = "websocket.http.response.start"
    assert ready(kind).check({"type": kind, "status": 403, "trailers": True})["trailers"] is False


@pytest.mark.parametrize("code", [0, 403, 1005, 70000])
def test_the_code_of_a_refused_handshake_goes_nowhere(code: int) -> None:
    assert WebSocketRules().check({"type": "websocket.close", "code": code})["code"] == code


@pytest.mark.parametrize("container", [dict, OrderedDict, UserDict, types.MappingProxyType])
def test_any_mapping_is_a_message(container: Any) -> None:
    message = container({"type": Kind.START, "status": 200, "extra": NoRepr()})
    read = HTTPRules().check(message)
    assert read == {"type": "http.response.start", "status": 200, "headers": [], "trailers": False}
    assert type(read) is dict
    assert marshal.loads(marshal.dumps(read)) == read


def test_nothing_is_shared_with_what_was_sent() -> None:
    headers, body = [[b"x-a", b"1"]], bytearray(b"before")
    rules = HTTPRules()
    start = rules.check({"type": "http.response.start", "status": 200, "headers": headers})
    sent = rules.check({"type": "http.response.body", "body": body})
    headers[0][1] = b"2"
    body[:] = b"after"
    assert (start["headers"], sent["body"]) == ([(b"x-a", b"1")], b"before")
    first, second = (HTTPRules().check({"type": "http.response.start", "status": 200}) for _ in range(2))
    assert first["headers"] is not second["headers"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (None, "the message of type NoneType (None) is not a mapping (state: no response yet); send a dict such as"),
        (["type"], "the message of type list (['type']) is not a mapping"),
        (
            {},
            "the message of type dict ({}) has no 'type' (state: no response yet); send a dict such as {'type': ",
        ),
        ({"type": b"x"}, "the message of type dict ({'type': b'x'}) has a 'type' of type bytes, not str (state: no"),
        ({"type": mock.NonCallableMagicMock(spec=str)}, "has a 'type' of type NonCallableMagicMock, not str"),
        (NoKeys(type="x"), "could not be read: LookupError('no keys')"),
        (NoRepr(), "the message of type NoRepr (<its repr raised LookupError>) is not a mapping"),
    ],
)
def test_what_is_no_message(message: object, text: str) -> None:
    rules = HTTPRules()
    with pytest.raises(AppProtocolError) as caught:
        rules.check(message)
    assert text in str(caught.value)
    assert rules.state == "no response yet"


REFUSED: list[tuple[str, Message, str]] = [
    ("http.response.start", {}, "'status' is missing; it must be an int from 100 to 999, e.g. 200"),
    ("http.response.start", {"status": None}, "'status' is of type NoneType (None); it must be an int"),
    ("http.response.start", {"status": True}, "'status' is of type bool (True); it must be an int"),
    ("http.response.start", {"status": 200.0}, "'status' is of type float (200.0); it must be an int"),
    ("http.response.start", {"status": "200"}, "'status' is of type str ('200'); it must be an int"),
    ("http.response.start", {"status": 99}, "'status' is 99; it must be an int from 100 to 999"),
    ("http.response.start", {"status": 1000}, "'status' is 1000; it must be an int from 100 to 999"),
    ("http.response.start", {"status": 10**5000}, "'status' is <its repr raised ValueError>; it must be an int"),
    ("http.response.start", {"status": 200, "trailers": 1}, "'trailers' is of type int (1); it must be a bool"),
    ("http.response.body", {"body": "hi"}, "'body' is of type str ('hi'); it must be bytes"),
    ("http.response.body", {"body": None}, "'body' is of type NoneType (None); it must be bytes"),
    ("http.response.body", {"body": NoRepr()}, "'body' is of type NoRepr (<its repr raised LookupError>); it must be"),
    ("http.response.body", {"body": "x" * 10**6}, f"'body' is of type str ('{'x' * 76}...); it must be bytes"),
    ("http.response.body", {"body": released()}, "'body' cannot be read (operation forbidden on released memoryview"),
    ("http.response.body", {"body": mock.MagicMock(spec=bytearray)}, "could not be read: TypeError("),
    ("http.response.body", {"more_body": None}, "'more_body' is of type NoneType (None); it must be a bool"),
    ("http.response.trailers", {}, "'headers' is missing; send an iterable of [name, value] pairs of bytes"),
    ("http.response.pathsend", {}, "'path' is missing; it must be the path of a file, a str"),
    ("http.response.pathsend", {"path": b"/srv"}, "'path' is of type bytes (b'/srv'); it must be the path of a file"),
    ("http.response.pathsend", {"path": ""}, "'path' is ''; it must be the path of a file"),
    ("http.response.pathsend", {"path": "/srv\0"}, "'path' is '/srv\\x00'; it must be the path of a file"),
    ("http.response.early_hint", {}, "'links' is missing; send an iterable of bytes"),
    ("http.response.early_hint", {"links": b"</a>"}, "'links' is of type bytes (b'</a>'); send an iterable of bytes"),
    ("http.response.early_hint", {"links": [b"", "</a>"]}, "'links'[1] is of type str ('</a>'); each link is bytes"),
    ("http.response.early_hint", {"links": [b"\r\n"]}, "'links'[0] holds a line break or a NUL (b'\\r\\n'); each"),
    ("http.response.early_hint", {"links": NoItems()}, "'links' raised LookupError when it was iterated over; send"),
    ("http.response.debug", {"info": [1]}, "'info' is of type list ([1]); it must be a dict"),
    ("http.response.debug", {}, "'info' is missing; it must be a dict"),
    ("websocket.accept", {"subprotocol": b"v1"}, "'subprotocol' is of type bytes (b'v1'); it must be a str of"),
    ("websocket.accept", {"subprotocol": "v1\r\n"}, "'subprotocol' is 'v1\\r\\n'; it must be a str of printable ASCII"),
    ("websocket.accept", {"subprotocol": "é"}, "'subprotocol' is 'é'; it must be a str of printable ASCII"),
    (
        "websocket.accept",
        {"headers": [(b"Sec-WebSocket-Protocol", b"v1")]},
        "'headers' hold sec-websocket-protocol; send it as 'subprotocol' instead",
    ),
    ("websocket.send", {}, "neither of 'text' and 'bytes' is set; send exactly one of them"),
    ("websocket.send", {"text": None, "bytes": None}, "neither of 'text' and 'bytes' is set; send exactly one"),
    ("websocket.send", {"text": "", "bytes": b""}, "both of 'text' and 'bytes' is set; send exactly one of them"),
    ("websocket.send", {"text": b"x"}, "'text' is of type bytes (b'x'); it must be a str or None"),
    ("websocket.send", {"bytes": "x"}, "'bytes' is of type str ('x'); it must be bytes or None"),
    ("websocket.send", {"text": "a\ud800"}, "'text' is not encodable as UTF-8 ('\\ud800'); it must be a str"),
    ("websocket.close", {"code": None}, "'code' is of type NoneType (None); it must be an int"),
    ("websocket.close", {"code": False}, "'code' is of type bool (False); it must be an int"),
    ("websocket.close", {"code": 999}, "'code' is 999; it must be a code that a close frame may hold"),
    ("websocket.close", {"code": 5000}, "'code' is 5000; it must be a code that a close frame may hold"),
    ("websocket.close", {"code": 1006}, "'code' is 1006; it must be a code that a close frame may hold"),
    ("websocket.close", {"reason": b"x"}, "'reason' is of type bytes (b'x'); it must be a str or None"),
    ("websocket.http.response.start", {}, "'status' is missing; it must be an int from 100 to 999"),
    ("websocket.http.response.body", {"body": 1}, "'body' is of type int (1); it must be bytes"),
    ("lifespan.startup.failed", {"message": None}, "'message' is of type NoneType (None); it must be a str"),
]

HEADERS: list[tuple[object, str]] = [
    (None, " is of type NoneType (None); send an iterable of [name, value] pairs of bytes, e.g."),
    ({b"x-a": b"1"}, " is of type dict ({b'x-a': b'1'}); send an iterable of [name, value] pairs"),
    ("x-a: 1", " is of type str ('x-a: 1'); send an iterable of [name, value] pairs"),
    (NoItems(), " raised LookupError when it was iterated over; send an iterable of [name, value] pairs"),
    ([b"xy"], "[0] is of type bytes (b'xy'); each header is a pair of bytes, (name, value)"),
    ([3], "[0] is of type int (3); each header is a pair of bytes, (name, value)"),
    ([(b"a", b"1"), (b"b",)], "[1] has 1 items ((b'b',)); each header is a pair of bytes, (name, value)"),
    ([[b"a", b"b", b"c"]], "[0] has 3 items ([b'a', b'b', b'c']); each header is a pair of bytes"),
    (
        [(b"a", b"1"), (b"b", b"2"), ("X-A", "1")],
        "[2] has a name of type str ('X-A'); header names are lower-case bytes, e.g. b'x-a'",
    ),
    ([(None, b"1")], "[0] has a name of type NoneType (None); header names are lower-case bytes, e.g. b'x-a'"),
    ([(b"age", 1)], "[0] (b'age') has a value of type int (1); header values are bytes, e.g. b'1'"),
    ([(b"age", b"1\r\nx: y")], "[0] holds a line break or a NUL (b'1\\r\\nx: y'); the value of b'age' must be bytes"),
    ([(b"age", bytearray(b"\0"))], "[0] holds a line break or a NUL (b'\\x00'); the value of b'age' must be bytes"),
    ([(b"", b"1")], "[0] has the name b''; header names are letters, digits and dashes"),
    ([(b"x a", b"1")], "[0] has the name b'x a'; header names are letters, digits and dashes"),
    ([(b"x:a", b"1")], "[0] has the name b'x:a'; header names are letters, digits and dashes"),
    ([(b"x\n", b"1")], "[0] has the name b'x\\n'; header names are letters, digits and dashes"),
    ([(b"\xe9", b"1")], "[0] has the name b'\\xe9'; header names are letters, digits and dashes"),
    ([(b":status", b"1")], "[0] is the pseudo header b':status'; leave it out"),
    ([(released(), b"1")], "[0] cannot be read (operation forbidden on released memoryview object)"),
]


@pytest.mark.parametrize(("kind", "sent", "text"), REFUSED)
def test_what_is_said_about_a_value(kind: str, sent: Message, text: str) -> None:
    rules = ready(kind)
    before = rules.state
    with pytest.raises(AppProtocolError) as caught:
        rules.check({"type": kind, **sent})
    said = str(caught.value)
    assert text in said
    assert said.startswith(kind)
    assert said.endswith(f" (state: {before})")
    assert rules.state == before


@pytest.mark.parametrize(("headers", "text"), HEADERS)
@pytest.mark.parametrize("kind", WITH_HEADERS)
def test_what_is_said_about_headers(kind: str, headers: object, text: str) -> None:
    rules = ready(kind)
    with pytest.raises(AppProtocolError) as caught:
        rules.check({"type": kind, "status": 200, "headers": headers})
    assert str(caught.value).startswith(f"{kind}: 'headers'{text}")
    assert str(caught.value).endswith(f" (state: {rules.state})")


def test_the_app_s_own_exception_is_the_cause() -> None:
    with pytest.raises(AppProtocolError) as caught:
        ready("http.response.early_hint").check({"type": "http.response.early_hint", "links": NoItems()})
    assert isinstance(caught.value.__cause__, LookupError)
    with pytest.raises(AppProtocolError) as caught:
        ready("http.response.body").check({"type": "http.response.body", "body": 1})
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, b"x" * 10**6, bytearray(10**6), ["x" * 10**6], 10**5000, NoRepr()],
    ids=["str", "bytes", "bytearray", "list", "int", "NoRepr"],
)
def test_a_short_repr_is_short(value: object) -> None:
    assert 10 < len(short(value)) <= 80
