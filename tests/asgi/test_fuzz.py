"""Whatever is sent, in whatever order: it is either accepted, whole and plain, or refused with an AppProtocolError."""

from __future__ import annotations

import marshal
import types
from collections import UserDict
from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoclient.asgi import HTTPRules, LifespanRules, Message, WebSocketRules
from isoclient.errors import AppProtocolError

Rules = HTTPRules | WebSocketRules | LifespanRules

KEYS: dict[str, set[str]] = {
    "http.response.start": {"status", "headers", "trailers"},
    "http.response.body": {"body", "more_body"},
    "http.response.trailers": {"headers", "more_trailers"},
    "http.response.pathsend": {"path"},
    "http.response.early_hint": {"links"},
    "http.response.debug": {"info"},
    "http.response.template": {"template", "context"},
    "websocket.accept": {"subprotocol", "headers"},
    "websocket.send": {"text", "bytes"},
    "websocket.close": {"code", "reason"},
    "websocket.http.response.start": {"status", "headers", "trailers"},
    "websocket.http.response.body": {"body", "more_body"},
    "lifespan.startup.complete": set(),
    "lifespan.startup.failed": {"message"},
    "lifespan.shutdown.complete": set(),
    "lifespan.shutdown.failed": {"message"},
}
# A busy machine makes an example slow; that says nothing about the rules.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLAIN = {type(None), bool, int, str, bytes}


class Hostile:
    """Every question put to it raises."""

    def _raise(self, *args: object) -> Any:
        raise ZeroDivisionError

    __iter__ = __len__ = __getitem__ = __eq__ = __bool__ = __repr__ = __str__ = __int__ = __index__ = _raise
    __hash__ = object.__hash__


short = st.binary(max_size=8)
octets = st.one_of(short, short.map(bytearray), short.map(lambda data: memoryview(data)))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), octets)
plain_oddities: list[object] = [object(), Hostile, len, "\ud800", mock.MagicMock(spec=str), mock.MagicMock(spec=int)]
odd = st.builds(Hostile) | st.sampled_from(plain_oddities)
junk = st.recursive(
    scalars | odd,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(iter),
        st.dictionaries(st.text(), inner, max_size=2),
    ),
    max_leaves=5,
)
lengths = st.tuples(st.just(b"content-length"), st.sampled_from([b"0", b"3", b"8", b"3, 3", b"3, 4", b"-3", b"x", b""]))
names = st.one_of(st.from_regex(rb"[a-zA-Z0-9-]{1,8}", fullmatch=True), octets)
pairs = st.one_of(
    lengths, st.tuples(names, octets), st.lists(octets, min_size=2, max_size=2), st.tuples(names, octets).map(iter)
)
headers = st.one_of(st.lists(pairs, max_size=3), st.lists(pairs, max_size=3).map(iter))
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "status": st.integers(90, 1010),
    "headers": headers,
    "trailers": st.booleans(),
    "body": octets,
    "more_body": st.booleans(),
    "more_trailers": st.booleans(),
    "path": st.text(max_size=8).map(lambda text: f"/{text}"),
    "links": st.lists(octets, max_size=3),
    "info": st.dictionaries(st.text(), junk, max_size=2),
    "template": junk,
    "context": st.dictionaries(st.text(), junk, max_size=2),
    "subprotocol": st.none() | st.text(max_size=8),
    "text": st.none() | st.text(max_size=8),
    "bytes": st.none() | octets,
    "code": st.integers(900, 5100),
    "reason": st.none() | st.text(max_size=8),
    "message": st.text(max_size=8),
}


def messages_of(kind: str) -> st.SearchStrategy[Message]:
    """Messages of one type, most of which are as they should be."""
    keys = {key: LIKELY[key] | LIKELY[key] | LIKELY[key] | junk for key in sorted(KEYS[kind])}
    return st.fixed_dictionaries({"type": st.just(kind)}, optional={**keys, "extra": junk})


wild = st.dictionaries(st.sampled_from(["type", *LIKELY]), junk | st.sampled_from(list(KEYS)), max_size=4)
messages = st.one_of(*(messages_of(kind) for kind in KEYS), wild)
sendable: st.SearchStrategy[object] = st.one_of(
    messages, messages, messages, messages.map(UserDict), messages.map(types.MappingProxyType), junk
)


def assert_plain(value: object) -> None:
    if type(value) is list:
        assert all(type(item) is bytes or [type(part) for part in item] == [bytes, bytes] for item in value)
        assert all(type(item) is bytes or type(item) is tuple for item in value)
    else:
        assert type(value) in PLAIN


def assert_normal(read: Message) -> None:
    assert type(read) is dict
    assert set(read) == {"type"} | KEYS[read["type"]]
    for key in ("info", "context"):
        assert isinstance(read.pop(key, {}), dict)
    read.pop("template", None)
    for value in read.values():
        assert_plain(value)
    assert marshal.loads(marshal.dumps(read)) == read


def assert_told(error: AppProtocolError, message: object, state: str) -> None:
    assert f"(state: {state})" in str(error)
    kind = message.get("type") if isinstance(message, Mapping) else None
    if type(kind) is str:
        assert kind in str(error) or repr(kind)[:77] in str(error)


def feed(rules: Rules, message: object) -> bool:
    before = rules.state
    try:
        read = rules.check(message)
    except AppProtocolError as error:
        assert rules.state == before
        assert_told(error, message, before)
        return False
    assert_normal(read)
    return True


@unhurried
@given(st.lists(sendable, max_size=6))
def test_any_messages_on_an_http_stream(sent: list[object]) -> None:
    rules = HTTPRules()
    for message in sent:
        feed(rules, message)
    assert rules.complete is (rules.unfinished() is None)


@unhurried
@given(st.lists(sendable, max_size=6))
def test_any_messages_on_a_websocket_stream(sent: list[object]) -> None:
    rules = WebSocketRules()
    for message in sent:
        feed(rules, message)
    assert not rules.complete or rules.unfinished() is None
    assert not (rules.accepted and rules.denied)


@unhurried
@given(st.lists(sendable | st.sampled_from(["lifespan.startup", "lifespan.shutdown"]), max_size=6))
def test_any_messages_on_a_lifespan_stream(sent: list[object]) -> None:
    rules = LifespanRules()
    for message in sent:
        if isinstance(message, str) and message.startswith("lifespan."):
            before = rules.state
            try:
                rules.delivered(message)
            except ValueError:
                assert rules.state == before
        else:
            feed(rules, message)
    assert rules.complete is (rules.unfinished() is None)


STAGES: list[tuple[type[Rules], list[Message | str]]] = [
    (HTTPRules, [{"type": "http.response.start", "status": 200}]),
    (HTTPRules, [{"type": "http.response.start", "status": 200, "trailers": True}, {"type": "http.response.body"}]),
    (WebSocketRules, [{"type": "websocket.accept"}]),
    (WebSocketRules, [{"type": "websocket.http.response.start", "status": 403}]),
    (LifespanRules, ["lifespan.startup"]),
    (LifespanRules, ["lifespan.startup", {"type": "lifespan.startup.complete"}, "lifespan.shutdown"]),
]


@pytest.mark.parametrize(("protocol", "way"), STAGES)
@unhurried
@given(data=st.data())
def test_any_message_where_it_is_expected(protocol: type[Rules], way: list[Message | str], data: st.DataObject) -> None:
    rules = protocol()
    for step in way:
        if isinstance(step, str):
            assert isinstance(rules, LifespanRules)
            rules.delivered(step)
        else:
            rules.check(step)
    expected = sorted(protocol.protocol.table[rules.state])
    for kind in data.draw(st.lists(st.sampled_from(expected), min_size=1, max_size=3)):
        feed(rules, data.draw(messages_of(kind)))
