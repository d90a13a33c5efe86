"""Values: everything that ASGI allows comes back as it was; what servers tolerate as what it means."""

from __future__ import annotations

import collections
import enum
import math
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoclient.wire.frames import ValueCodec, dumps
from isoclient.wire.protocol import WireError

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())  # lone surrogates included
    | st.binary(max_size=100)
)
asgi_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=10) | st.binary(max_size=10), inner, max_size=5)
    ),
    max_leaves=20,
)


def decoded(data: bytes) -> Any:
    return ValueCodec().decode(data, b"")


@given(asgi_values)
def test_what_asgi_allows_comes_back_as_it_was(value: object) -> None:
    found = decoded(dumps(value))
    assert found == value
    assert type(found) is type(value)


def test_a_scope() -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "path": "/ä\udcff",
        "raw_path": b"/%C3%A4",
        "headers": [(b"host", b"testserver")],
        "client": ("testclient", 50000),
        "server": ["testserver", None],
        "state": {},
    }
    assert decoded(dumps(scope)) == scope
    assert math.isnan(decoded(dumps(math.nan)))
    assert decoded(dumps(-0.0)) == 0


class Text(str):
    def __str__(self) -> str:
        return "another text"


class Number(enum.IntEnum):
    ONE = 1


class Pair(collections.namedtuple("Pair", "a b")):
    pass


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (HTTPStatus.NOT_FOUND, 404),
        (Number.ONE, 1),
        (Text("text"), "text"),
        (type("B", (bytes,), {})(b"b"), b"b"),
        (type("F", (float,), {})(0.5), 0.5),
        (bytearray(b"b"), b"b"),
        (memoryview(b"bytes")[1:3], b"yt"),
        (memoryview(bytearray(b"b")), b"b"),
        (Pair(1, 2), (1, 2)),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (collections.OrderedDict(a=Text("b")), {"a": "b"}),
        (collections.ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
        ({Text("key"): [HTTPStatus.OK, (bytearray(b"x"),)]}, {"key": [200, (b"x",)]}),
        (True, True),
    ],
)
def test_what_servers_tolerate(value: object, meant: object) -> None:
    found = decoded(dumps(value))
    assert found == meant
    assert type(found) is type(meant)
    assert decoded(dumps([value, {"in": value}])) == [meant, {"in": meant}]


@pytest.mark.parametrize("value", [{1, 2}, frozenset({1, 2})])
def test_sets_arrive_with_their_members(value: Any) -> None:
    assert sorted(decoded(dumps(value))) == [1, 2]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "value"),
        ({"headers": [(b"a", object())]}, r"value\['headers'\]\[0\]\[1\]"),
        ([1, [2, lambda: None]], r"value\[1\]\[1\]"),
        ({object(): 1}, "value key"),
        (iter([]), "value"),
    ],
)
def test_what_has_no_place_in_asgi_is_named(value: object, path: str) -> None:
    with pytest.raises(TypeError, match=f"^{path}: a .* can't be in an ASGI message"):
        dumps(value)


def test_what_is_too_deep() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="nested"):
        dumps(deep)
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(TypeError, match="nested"):
        dumps(cycle)


@pytest.mark.parametrize("data", [b"", b"\x00", b"[", b"s\xff\xff\xff\x7f", b"(\x05\x00\x00\x00"])
def test_damaged_data(data: bytes) -> None:
    with pytest.raises(WireError, match="can't be decoded"):
        decoded(data)


@given(asgi_values, st.data())
@settings(deadline=None)  # how long one value takes depends on what else runs on the machine
def test_data_that_are_cut_off(value: object, data: st.DataObject) -> None:
    whole = dumps(value)
    with pytest.raises(WireError):
        decoded(whole[: data.draw(st.integers(0, len(whole) - 1))])
