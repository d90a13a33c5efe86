"""The two codecs: the one for a pipe makes bytes, the one for a thread hands over the very objects."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoclient.transit.codecs import Codec, LocalCodec, PipeCodec
from isoclient.wire.protocol import WireError

MESSAGES: list[dict[str, Any]] = [
    {"type": "http.request", "body": b"", "more_body": False},
    {"type": "http.request", "body": b"x" * 100_000, "more_body": True},
    {"type": "http.response.body", "body": b"y" * 2047},
    {"type": "http.response.body", "body": b"y" * 2048},
    {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]},
    {"type": "websocket.send", "text": "t" * 100_000, "bytes": None},
    {"type": "websocket.receive", "bytes": b"b" * 100_000},
    {"type": "websocket.receive", "text": "ä"},
]


@pytest.fixture(params=[PipeCodec, LocalCodec])
def codec(request: pytest.FixtureRequest) -> Codec:
    made: Codec = request.param()
    return made


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["type"])
def test_messages(codec: Codec, message: dict[str, Any]) -> None:
    before = dict(message)
    meta, payload = codec.encode(message)
    assert type(meta) is bytes
    assert type(payload) is bytes
    assert codec.decode(meta, payload) == before
    assert message == before


def test_bulk_travels_beside_the_message_and_uncopied() -> None:
    content = b"x" * 100_000
    meta, payload = PipeCodec().encode({"type": "http.response.body", "body": content, "more_body": False})
    assert payload is content
    assert len(meta) < 200


def test_what_is_no_message(codec: Codec) -> None:
    for value in (None, 5, ("http", {"path": "/"}, ({"type": "http.request", "body": b"x" * 5000},)), [b"x" * 5000]):
        assert codec.decode(*codec.encode(value)) == value


@given(st.binary(min_size=1, max_size=5000), st.sampled_from(["body", "bytes", "other"]), st.booleans())
def test_any_content_under_any_key(content: bytes, key: str, more: bool) -> None:
    codec = PipeCodec()
    message = {"type": "x", key: content, "more": more}
    assert codec.decode(*codec.encode(message)) == message


def test_two_bulks_in_one_message() -> None:
    codec = PipeCodec()
    message = {"type": "x", "body": b"a" * 5000, "bytes": b"b" * 5000}
    assert codec.decode(*codec.encode(message)) == message


def test_a_payload_out_of_place() -> None:
    codec = PipeCodec()
    for value in (None, {"type": "http.request", "body": b"x"}, [1]):
        meta, _ = codec.encode(value)
        with pytest.raises(WireError, match="payload"):
            codec.decode(meta, b"payload")


def test_damaged_meta() -> None:
    with pytest.raises(WireError):
        PipeCodec().decode(b"", b"")
    with pytest.raises(WireError, match="no value"):
        LocalCodec().decode(b"77", b"")


def test_a_thread_gets_the_very_objects_once() -> None:
    codec = LocalCodec()
    thing = threading.Lock()
    meta, payload = codec.encode({"type": "x", "thing": thing})
    assert codec.decode(meta, payload)["thing"] is thing
    with pytest.raises(WireError):
        codec.decode(meta, payload)  # nothing stays in the table


def test_a_thread_gets_messages_of_its_own() -> None:
    codec = LocalCodec()
    message = {"type": "http.response.start", "status": 200}
    meta, payload = codec.encode(message)
    message["status"] = 500
    assert codec.decode(meta, payload)["status"] == 200


def test_exceptions(codec: Codec) -> None:
    try:
        raise LookupError("the app's")
    except LookupError as error:
        packed = codec.pack_exception(error)
    meta, payload = codec.encode(("raised", packed))
    kind, found = codec.decode(meta, payload)
    unpacked = codec.unpack_exception(found)
    assert kind == "raised"
    assert type(unpacked) is LookupError
    assert unpacked.args == ("the app's",)
    assert unpacked.__traceback__ is not None


def test_objects_and_debug_information(codec: Codec) -> None:
    app = object()
    live = {"app": app}
    function = codec.unpack_object(codec.decode(*codec.encode(codec.pack_object(lambda x: (app, x), live))), live)
    assert function(5) == (app, 5)
    info = codec.unpack_debug(codec.decode(*codec.encode(codec.pack_debug({"template": "a", "context": {"b": 1}}))))
    assert info == {"template": "a", "context": {"b": 1}}


def test_whether_it_is_by_reference() -> None:
    assert LocalCodec().by_reference
    assert not PipeCodec().by_reference
