"""Damaged data: found before they are unpickled, and if they have the right checksum all the same, survived."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoclient.errors import ObjectNotLoadable
from isoclient.transit import ExceptionStandIn, pack_exception, unpack_debug, unpack_exception, unpack_object
from isoclient.transit.seal import seal

EXCEPTION = pack_exception(ExceptionGroup("group", [ValueError("text"), KeyError("key")]))


def assert_unreadable(data: bytes) -> None:
    error = unpack_exception(data)
    assert isinstance(error, ExceptionStandIn)
    assert str(error).startswith("an exception of the app could not be read: ")
    assert unpack_debug(data) == {}
    with pytest.raises(ObjectNotLoadable):
        unpack_object(data, {})


@settings(deadline=None)
@given(st.binary())
def test_garbage(data: bytes) -> None:
    assert_unreadable(data + b"0")  # nothing at all has the checksum of nothing at all


def test_truncated() -> None:
    for length in range(len(EXCEPTION)):
        assert_unreadable(EXCEPTION[:length])


@settings(deadline=None)
@given(st.integers(0, len(EXCEPTION) - 1), st.integers(1, 255))
def test_one_byte_changed(index: int, change: int) -> None:
    assert_unreadable(EXCEPTION[:index] + bytes([EXCEPTION[index] ^ change]) + EXCEPTION[index + 1 :])


def test_trailing_data() -> None:
    assert_unreadable(EXCEPTION + b"\0")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=12) | st.lists(inner, max_size=12).map(tuple),
    max_leaves=30,
)


@settings(max_examples=50, deadline=None)
@given(PLAIN)
def test_pickles_of_something_else(value: Any) -> None:
    data = seal(pickle.dumps(value))

    assert isinstance(unpack_exception(data), BaseException)
    assert isinstance(unpack_debug(data), dict)


def node(**changes: Any) -> tuple[Any, ...]:
    fields = {"classes": [("builtins", "ValueError", 0)], "text": "text", "reason": "", "frames": [], "cause": None}
    more = {"context": None, "suppress": False, "group": None, "reduced": None, "state": None, "alone": True}
    return tuple((fields | more | changes).values())


NUMBERS = st.none() | st.integers(-3, 5)
NODES = st.builds(
    node,
    classes=st.just([("builtins", "ExceptionGroup", 0)]) | st.just([("builtins", "ValueError", 0)]) | PLAIN,
    frames=st.just([("f.py", 1, 1, "f", None, None, False)]) | PLAIN,
    cause=NUMBERS,
    context=NUMBERS | PLAIN,
    group=st.none() | st.tuples(st.just("group"), st.lists(NUMBERS, max_size=4)) | PLAIN,
    reduced=st.none() | st.just(pickle.dumps((ValueError, ("text",)))) | st.just(pickle.dumps((print, ()))),
    state=st.none() | PLAIN,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(NODES, max_size=5))
def test_nodes_that_make_no_sense(nodes: list[tuple[Any, ...]]) -> None:
    assert isinstance(unpack_exception(seal(pickle.dumps(nodes))), BaseException)


def test_groups_that_contain_each_other() -> None:
    classes = [("builtins", "ExceptionGroup", 0), ("builtins", "Exception", 0)]
    nodes = [node(classes=classes, group=("a", [1])), node(classes=classes, group=("b", [0]))]

    assert isinstance(unpack_exception(seal(pickle.dumps(nodes))), Exception)
