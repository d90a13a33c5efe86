"""Writing an outbox: whole frames in order, however little the socket takes at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoclient.wire.frames import Outbox


class ScriptedSocket:
    """Takes as many bytes at a time as the script says; 0 means that it would block."""

    def __init__(self, script: Iterable[int]) -> None:
        self.script = iter(script)
        self.taken = b""

    def send(self, data: Any, flags: int) -> int:
        return self.sendmsg([data], (), flags)

    def sendmsg(self, parts: list[Any], ancillary: tuple[()], flags: int) -> int:
        assert 0 < len(parts) <= 1024
        room = next(self.script, 10**9)
        if room == 0:
            raise BlockingIOError
        data = b"".join(parts)[:room]
        self.taken += data
        return len(data)


def write(box: Outbox, sock: ScriptedSocket | socket.socket) -> bool:
    return box.write(sock.send, sock.sendmsg)


def drain(box: Outbox, sock: ScriptedSocket) -> int:
    """Write until nothing is left; return how often that took."""
    for times in range(1, 10_000):
        done = write(box, sock)
        assert done is not bool(box.parts)
        if done:
            return times
    raise AssertionError("it never ends")


def test_one_write_for_a_small_response() -> None:
    box, sock = Outbox(), ScriptedSocket([])
    box.put(b"start")
    box.put(b"body", b"content")
    box.put(b"end")
    assert drain(box, sock) == 1
    assert sock.taken == b"startbodycontentend"
    assert write(box, sock) is True  # nothing to do


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_byte_by_byte(size: int) -> None:
    box, sock = Outbox(), ScriptedSocket([size, 0] * 1000)
    box.put(b"head one", b"payload one")
    box.put(b"head two", b"")
    assert drain(box, sock) > 3
    assert sock.taken == b"head onepayload onehead two"


def test_many_and_large_parts() -> None:
    box, sock = Outbox(), ScriptedSocket([100_000, 0] * 1000)
    expected = b""
    for number in range(150):
        head, payload = b"%d" % number, bytes([number % 256]) * 20_000
        box.put(head, payload)
        expected += head + payload
    drain(box, sock)
    assert sock.taken == expected


def test_more_comes_while_it_is_blocked() -> None:
    box, sock = Outbox(), ScriptedSocket([4, 0])
    box.put(b"first")
    assert write(box, sock) is False
    box.put(b" second")
    assert write(box, sock) is True
    assert sock.taken == b"first second"


def test_clear() -> None:
    box, sock = Outbox(), ScriptedSocket([])
    box.put(b"head", b"payload")
    box.clear()
    assert not box.parts
    assert write(box, sock) is True
    assert sock.taken == b""


def test_a_peer_that_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        box = Outbox()
        box.put(b"head", b"payload")
        with pytest.raises(OSError):  # noqa: PT011  # EPIPE or ECONNRESET
            write(box, ours)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=50), st.binary(max_size=40_000))), st.data())
def test_anything_in_any_pieces(frames: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    script = data.draw(st.lists(st.integers(0, 70_000), max_size=30))
    box, sock = Outbox(), ScriptedSocket(script)
    for head, payload in frames:
        box.put(head, payload)
    drain(box, sock)
    assert sock.taken == b"".join(head + payload for head, payload in frames)
