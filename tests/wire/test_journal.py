"""The journal: entries are found whole, byte by byte, cut off, and among rubbish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoclient.wire.journal import Entry, JournalReader, pack

KIND = 7

sizes = st.integers(0, 2**64 - 1)
some_entries = st.lists(
    st.builds(Entry, st.integers(0, 255), st.binary(max_size=200), st.tuples(sizes, sizes)),
    max_size=5,
)
rubbish = st.lists(st.binary(max_size=50) | st.just(pack(KIND, b"")[:7]), min_size=6, max_size=6)


def packed(entry: Entry) -> bytes:
    return pack(*entry)


@given(some_entries, st.integers(1, 100))
def test_entries_in_pieces_of_any_size(entries: list[Entry], size: int) -> None:
    data = b"".join(map(packed, entries))
    reader = JournalReader()
    found = [entry for at in range(0, len(data), size) for entry in reader.feed(data[at : at + size])]
    assert found == entries


@given(some_entries, rubbish, st.integers(1, 300))
def test_rubbish_costs_no_entry(entries: list[Entry], rubbish: list[bytes], size: int) -> None:
    data = rubbish[0] + b"".join(packed(entry) + waste for entry, waste in zip(entries, rubbish[1:], strict=False))
    data += pack(KIND, b"the last")
    reader = JournalReader()
    found = [entry for at in range(0, len(data), size) for entry in reader.feed(data[at : at + size])]
    assert found == [*entries, Entry(KIND, b"the last")]


@pytest.mark.parametrize("damaged", range(40))
def test_a_damaged_entry_is_left_out(damaged: int) -> None:
    first = bytearray(pack(KIND, b"first"))
    first[damaged] ^= 0xFF
    assert JournalReader().feed(bytes(first) + pack(KIND, b"second")) == [Entry(KIND, b"second")]


def test_an_entry_that_is_cut_off_is_waited_for() -> None:
    reader = JournalReader()
    data = pack(KIND, b"record" * 100)
    assert reader.feed(data[:100]) == []
    assert reader.feed(data[100:]) == [Entry(KIND, b"record" * 100)]


def test_what_is_behind_an_entry_that_is_cut_off_is_found_at_the_end() -> None:
    reader = JournalReader()
    assert reader.feed(pack(KIND, b"record" * 100)[:-500]) == []
    assert reader.feed(pack(KIND, b"first") + pack(KIND, b"second")) == []
    assert reader.finish() == [Entry(KIND, b"first"), Entry(KIND, b"second")]
    assert reader.finish() == []


def test_a_large_entry_is_looked_into_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the pieces that it comes in: else the time that it takes would grow with its square."""
    looks = []
    found = JournalReader._found

    def look(self: JournalReader, *, is_all: bool) -> list[Entry]:
        looks.append(is_all)
        return found(self, is_all=is_all)

    monkeypatch.setattr(JournalReader, "_found", look)
    data, reader = pack(KIND, bytes(1_000_000)), JournalReader()
    entries = [entry for at in range(0, len(data), 1000) for entry in reader.feed(data[at : at + 1000])]
    assert entries == [Entry(KIND, bytes(1_000_000))]
    assert len(looks) == 2
