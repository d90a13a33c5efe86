"""Data that are damaged in spite of the checksums of frames and of the journal: they are survived."""

from __future__ import annotations

import pickle
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from isoclient.transit import ExceptionStandIn, pack_exception, unpack_debug, unpack_exception

EXCEPTION = pack_exception(ExceptionGroup("group", [ValueError("text"), KeyError("key")]))


def assert_survived(data: bytes) -> None:
    assert isinstance(unpack_exception(data), BaseException)
    assert isinstance(unpack_debug(data), dict)


@settings(deadline=None)
@given(st.binary())
def test_garbage(data: bytes) -> None:
    assert_survived(data)


def test_truncated() -> None:
    for length in range(len(EXCEPTION)):
        error = unpack_exception(EXCEPTION[:length])
        assert isinstance(error, ExceptionStandIn)
        assert str(error).startswith("an exception of the app could not be read: ")
        assert unpack_debug(EXCEPTION[:length]) == {}


@settings(deadline=None)
@given(st.integers(0, len(EXCEPTION) - 1), st.integers(1, 255))
def test_one_byte_changed(index: int, change: int) -> None:
    assert_survived(EXCEPTION[:index] + bytes([EXCEPTION[index] ^ change]) + EXCEPTION[index + 1 :])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=12) | st.lists(inner, max_size=12).map(tuple),
    max_leaves=30,
)


@settings(max_examples=50, deadline=None)
@given(PLAIN)
def test_pickles_of_something_else(value: Any) -> None:
    assert_survived(pickle.dumps(value))


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
    assert isinstance(unpack_exception(pickle.dumps(nodes)), BaseException)


def test_groups_that_contain_each_other() -> None:
    classes = [("builtins", "ExceptionGroup", 0), ("builtins", "Exception", 0)]
    nodes = [node(classes=classes, group=("a", [1])), node(classes=classes, group=("b", [0]))]

    assert isinstance(unpack_exception(pickle.dumps(nodes)), Exception)
