"""Frames: each is fed whole, byte by byte, with more behind it, cut off, and damaged."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoclient.wire import protocol
from isoclient.wire.frames import SMALL, Frame, FrameReader, describe, pack
from isoclient.wire.protocol import WireError

KINDS = [
    protocol.OPEN,
    protocol.EVENT,
    protocol.CREDIT,
    protocol.CANCEL,
    protocol.END,
    protocol.READY,
    protocol.FAILED,
    protocol.STOP,
    protocol.CONTEXT,
]

EXAMPLES: list[Frame] = [
    (protocol.STOP, 0, b"", b""),
    (protocol.END, 1, b"meta", b""),
    (protocol.EVENT, 2**32 - 1, b"", b"payload"),
    (protocol.EVENT, 7, b"meta", b"payload"),
    (protocol.OPEN, 7, b"m" * (SMALL - 24), b""),  # the longest that fits the buffer
    (protocol.OPEN, 7, b"m" * (SMALL - 23), b""),  # the shortest that does not
    (protocol.OPEN, 7, b"m" * (4096 - 25), b""),  # one that fills all but a byte of the buffer's first size
    (protocol.OPEN, 7, b"m" * (4096 - 24), b""),
    (protocol.OPEN, 7, b"m" * (4096 - 23), b""),
    (protocol.EVENT, 7, b"meta", b"p" * (SMALL - 28)),
    (protocol.EVENT, 7, b"meta", b"p" * (SMALL - 27)),
    (protocol.EVENT, 7, b"m" * SMALL, b"p" * SMALL * 3),
]

some_frames = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=100) | st.sampled_from([b"m" * SMALL, b"m" * 2 * SMALL]),
        st.binary(max_size=100) | st.sampled_from([b"p" * SMALL, b"p" * 3 * SMALL]),
    ),
    max_size=6,
)


def packed(frame: Frame) -> bytes:
    return pack(*frame) + frame[3]


def feed(reader: FrameReader, data: bytes, size: int | None = None) -> list[Frame]:
    """Hand over data as a socket would: in pieces of at most ``size``, and no more than the buffer takes."""
    found: list[Frame] = []
    view = memoryview(data)
    while view:
        buffer = reader.get_buffer()
        count = min(len(buffer), len(view), size or len(view))
        assert count > 0
        buffer[:count] = view[:count]
        found += reader.buffer_updated(count)
        view = view[count:]
    return found


@pytest.mark.parametrize("frame", EXAMPLES, ids=describe)
def test_whole(frame: Frame) -> None:
    reader = FrameReader()
    assert feed(reader, packed(frame)) == [frame]
    assert not reader.unfinished()
    assert reader.unfinished() == ""


@pytest.mark.parametrize("frame", EXAMPLES, ids=describe)
def test_with_more_behind_it(frame: Frame) -> None:
    for other in EXAMPLES[:4]:
        reader = FrameReader()
        assert feed(reader, packed(frame) + packed(other)) == [frame, other]
        assert not reader.unfinished()
        assert feed(reader, packed(other) + packed(frame)) == [other, frame]


@pytest.mark.parametrize("frame", EXAMPLES[:4], ids=describe)
def test_byte_by_byte(frame: Frame) -> None:
    reader = FrameReader()
    data = packed(frame)
    assert feed(reader, data[:-1], 1) == []
    assert reader.unfinished()
    assert feed(reader, data[-1:], 1) == [frame]
    assert not reader.unfinished()


@pytest.mark.parametrize("frame", EXAMPLES[4:], ids=describe)
@pytest.mark.parametrize("size", [1000, 4096, SMALL - 1, SMALL])
def test_large_ones_in_pieces(frame: Frame, size: int) -> None:
    reader = FrameReader()
    assert feed(reader, packed(frame) * 2, size) == [frame, frame]
    assert not reader.unfinished()


def test_a_payload_of_more_than_4_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 5 * 2**32 + 7

    def room(self: FrameReader, size: int) -> memoryview:
        sizes.append(size)
        return memoryview(bytearray())

    sizes: list[int] = []
    monkeypatch.setattr(FrameReader, "_room", room)
    feed(FrameReader(), pack(protocol.EVENT, 7, b"", Huge()))
    assert sizes == [5 * 2**32 + 7]


@pytest.mark.parametrize("frame", EXAMPLES, ids=describe)
def test_cut_off(frame: Frame) -> None:
    data = packed(frame)
    for end in {1, 2, 23, 24, 25, len(data) // 2, len(data) - 1} & set(range(1, len(data))):
        reader = FrameReader()
        assert feed(reader, data[:end]) == []
        assert reader.unfinished()
        assert reader.unfinished() == f"{end}{f' of {len(data)}' if end >= 24 else ''} bytes of a message"


@pytest.mark.parametrize("frame", EXAMPLES[:4], ids=describe)
def test_any_damage_to_the_head_or_the_meta_part_is_found(frame: Frame) -> None:
    data = packed(frame)
    for at, bit in itertools.product(range(24 + len(frame[2])), range(8)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << bit
        with pytest.raises(WireError, match="on the pipe"):
            feed(FrameReader(), bytes(damaged))


def test_damage_to_a_large_meta_part() -> None:
    frame = (protocol.OPEN, 7, b"m" * SMALL * 2, b"")
    data = bytearray(packed(frame))
    data[-1] ^= 1
    with pytest.raises(WireError, match=r"OPEN frame of stream 7.*checksum"):
        feed(FrameReader(), bytes(data))


@pytest.mark.parametrize("rubbish", [b"x" * 24, bytes(24), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_what_is_no_frame(rubbish: bytes) -> None:
    with pytest.raises(WireError, match="expected the header of a frame"):
        feed(FrameReader(), rubbish)
    frame = EXAMPLES[3]
    reader = FrameReader()
    assert feed(reader, packed(frame) + rubbish) == [frame]
    with pytest.raises(WireError, match="expected the header of a frame"):
        reader.check()
    with pytest.raises(WireError, match="expected the header of a frame"):
        feed(reader, packed(frame))


@settings(deadline=None)
@given(st.binary(min_size=24, max_size=200))
def test_no_rubbish_is_a_frame(rubbish: bytes) -> None:
    with pytest.raises(WireError):
        feed(FrameReader(), rubbish)


@settings(deadline=None, max_examples=30)  # of long ones in pieces of a byte or two, each takes a while
@given(some_frames, st.lists(st.integers(1, 3 * SMALL), min_size=1, max_size=8))
def test_any_frames_in_any_pieces(sent: list[Frame], sizes: list[int]) -> None:
    data = b"".join(map(packed, sent))
    reader = FrameReader()
    found: list[Frame] = []
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            break
        found += feed(reader, data[at : at + size])
        at += size
    assert found == sent
    assert not reader.unfinished()


@settings(deadline=None)
@given(some_frames.filter(bool), st.data())
def test_any_frames_cut_off_anywhere(sent: list[Frame], data: st.DataObject) -> None:
    whole = b"".join(map(packed, sent))
    end = data.draw(st.integers(0, len(whole) - 1))
    reader = FrameReader()
    found = feed(reader, whole[:end])
    assert found == sent[: len(found)]
    assert (not reader.unfinished()) == (end == sum(len(packed(frame)) for frame in found))


def test_the_parts_are_bytes_of_their_own() -> None:
    reader = FrameReader()
    [first] = feed(reader, packed(EXAMPLES[3]))
    feed(reader, packed((protocol.EVENT, 7, b"atem", b"daolyap")))
    assert first[2:] == (b"meta", b"payload")
    assert [*map(type, first[2:])] == [bytes, bytes]


def test_a_frame_in_words() -> None:
    assert describe(EXAMPLES[3]) == "EVENT frame of stream 7 (4 + 7 bytes)"
    assert describe((77, 1, b"", b"")) == "77 frame of stream 1 (0 + 0 bytes)"
