"""What apps may pass to ``send`` by mistake: an error there, a clear one in the test, and never a hang."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoclient import AppCrashed, AppTimeout, Response, TestClient, WebSocketDisconnect
from tests.reliability.marks import slow
from tests.reliability.plain_apps import Receive, Scope, Send, live

_MODES: dict[str, dict[str, Any]] = {"fork": {"isolated": True}, "thread": {"isolated": False}}

TYPES = (
    "http.response.start",
    "http.response.body",
    "http.response.trailers",
    "http.response.pathsend",
    "http.response.early_hint",
    "http.response.push",
    "http.response.debug",
    "http.request",
    "http.disconnect",
    "websocket.accept",
    "websocket.send",
    "websocket.close",
    "websocket.http.response.start",
    "websocket.http.response.body",
    "websocket.receive",
    "lifespan.startup.complete",
    "lifespan.startup.failed",
    "lifespan.shutdown.complete",
    "no.such.type",
)
KEYS = (
    *("status", "headers", "trailers", "body", "more_body", "more_trailers", "path", "links", "info", "text", "bytes"),
    *("code", "reason", "subprotocol", "message", "state", "surplus"),
)

plan: list[list[Any]] = [[]]
refused: list[str] = []


class Opaque:
    """A value that no codec knows."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("no pickling of this one")


def follow(messages: list[Any]) -> None:
    plan[0] = messages
    refused.clear()


def told() -> list[str]:
    return list(refused)


async def obedient(scope: Scope, receive: Receive, send: Send) -> None:
    """It sends what it has been told to."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    await receive()
    for message in plan[0]:
        try:
            await send(_expanded(message))
        except BaseException as error:
            refused.append(repr(error))
            raise


def _expanded(message: Any) -> Any:
    """With what can't be sent from the test to the app in its place."""
    if isinstance(message, dict):
        return {_expanded(key): _expanded(value) for key, value in message.items()}
    if isinstance(message, list):
        return [_expanded(item) for item in message]
    if message == "(opaque)":
        return Opaque()
    if message == "(deep)":
        deep: list[Any] = []
        for _ in range(5000):
            deep = [deep]
        return deep
    if message == "(cyclic)":
        cyclic: list[Any] = []
        cyclic.append(cyclic)
        return cyclic
    return message


_plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((100, 200, 204, 304, 404, 599, 1000, -1, 2**70)),
    st.floats(),
    st.text(max_size=10),
    st.text(st.characters(categories=["Cs"]), max_size=3),
    st.binary(max_size=20),
    st.sampled_from(("(opaque)", "(deep)", "(cyclic)", "/no/such/file", "\ud800")),
)
_header = st.one_of(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), st.lists(_plain, max_size=3), _plain)
_value = st.one_of(
    _plain,
    st.lists(_header, max_size=3),
    st.dictionaries(_plain.filter(lambda key: key != "(deep)" and key != "(cyclic)"), _plain, max_size=3),
    st.sets(st.integers(), max_size=2),
    st.binary(max_size=8).map(bytearray),
)
_messages = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES)},
        optional=dict.fromkeys(KEYS, _value),
    ),
    st.dictionaries(st.one_of(st.sampled_from(("type", *KEYS)), st.integers()), _value, max_size=4),
    _value,
)
# What may come before, so that the message meets all states.
_openings: st.SearchStrategy[list[Any]] = st.sampled_from(
    (
        [],
        [{"type": "http.response.start", "status": 200, "headers": []}],
        [{"type": "http.response.start", "status": 200, "trailers": True}, {"type": "http.response.body"}],
        [
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body", "body": b"x", "more_body": True},
        ],
        [{"type": "websocket.accept"}],
        [{"type": "websocket.http.response.start", "status": 403, "headers": []}],
    )
)
_plans = st.builds(lambda opening, rest: opening + rest, _openings, st.lists(_messages, min_size=1, max_size=3))
_COSTLY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=_MODES)
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(obedient, timeout=20, **_MODES[request.param]) as client:
        client.call(follow, [])  # the module of the test is there, whatever the process
        yield client


def _settle(client: TestClient, error: BaseException | None) -> None:
    """See that what was refused in the app was told in the test, and that it is not the app's end."""
    assert not isinstance(error, AppTimeout | AppCrashed), error
    if client.call(told):
        assert error is not None
    assert client.pid == client.call(_pid)


def _pid() -> int:
    import os

    return os.getpid()


@_COSTLY
@given(messages=_plans)
def test_in_a_response(client: TestClient, messages: list[Any]) -> None:
    pid = client.pid
    client.call(follow, messages)
    error: BaseException | None = None
    try:
        response = client.get("/")
        assert isinstance(response, Response)
    except Exception as caught:
        error = caught
    _settle(client, error)
    assert client.pid == pid


@_COSTLY
@given(messages=_plans)
def test_on_a_websocket(client: TestClient, messages: list[Any]) -> None:
    pid = client.pid
    client.call(follow, messages)
    error: BaseException | None = None
    try:
        with client.websocket_connect("/") as websocket:
            for _ in websocket:
                pass
    except Exception as caught:
        error = caught
    if not isinstance(error, WebSocketDisconnect):  # the refusal itself, or what a message of its own says
        _settle(client, error)
    assert client.pid == pid


_lifespan_messages = st.fixed_dictionaries(
    {"type": st.sampled_from([kind for kind in TYPES if kind.startswith("lifespan")])},
    optional=dict.fromkeys(("message", "state", "surplus"), _value),
)


@slow
@pytest.mark.parametrize("mode", _MODES)
@settings(_COSTLY, max_examples=40)
@given(messages=st.lists(st.one_of(_lifespan_messages, _messages), min_size=1, max_size=3))
def test_in_a_lifespan(mode: str, messages: list[Any]) -> None:
    async def speaking(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(_expanded(message))

    error: BaseException | None = None
    try:
        with TestClient(speaking, timeout=20, **_MODES[mode]) as client:
            client.call(_pid)
    except Exception as caught:
        error = caught
    assert not isinstance(error, AppTimeout | AppCrashed), error
