"""Each limit is told as what it is, however the app comes to it: the path that tells needs what has run out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import pytest

from isoclient import AppCrashed, Limits, TestClient
from tests.reliability.plain_apps import plain

MEMORY = Limits(memory=48 << 20)


class Thing:
    """A small object, with a dictionary."""

    def __init__(self, number: int) -> None:
        self.number = number


PIECES: dict[str, Callable[[int], object]] = {
    "100 bytes": lambda number: bytes(100),
    "1 kB": lambda number: bytes(1_000),
    "10 kB": lambda number: bytes(10_000),
    "1 MB": lambda number: bytes(1_000_000),
    "10 MB": lambda number: bytes(10_000_000),
    "100 MB": lambda number: bytes(100_000_000),
    "strings": lambda number: f"the number {number}",
    "objects": Thing,
    "numbers": lambda number: number + 1_000_000,
    "tuples": lambda number: (number,),
    "dictionaries": lambda number: {number: str(number)},
}


def _pieces(kind: str) -> Iterator[object]:
    make = PIECES[kind]
    return (make(number) for number in count())


def hoard(kind: str) -> None:
    """Take memory, and keep it in a list."""
    kept: list[object] = []
    KEPT.append(kept)
    for piece in _pieces(kind):
        kept.append(piece)


def hoard_in_a_chain(kind: str) -> None:
    """The same without a list, which would be what runs out of room."""
    for piece in _pieces(kind):
        KEPT[:] = [(KEPT[0] if KEPT else None, piece)]


async def hoard_awaiting(kind: str) -> None:
    """The same on the event loop, which needs memory, too."""
    for number, piece in enumerate(_pieces(kind)):
        KEPT[:] = [(KEPT[0] if KEPT else None, piece)]
        if number % 1000 == 0:
            await asyncio.sleep(0)


async def hoard_in_a_worker(kind: str) -> None:
    """The same in a thread that somebody waits for."""
    await asyncio.to_thread(hoard_in_a_chain, kind)


async def hoard_in_a_thread(kind: str) -> None:
    """The same in a thread that nobody waits for."""
    threading.Thread(target=hoard_in_a_chain, args=(kind,), daemon=True).start()
    await asyncio.sleep(60)


KEPT: list[Any] = []


@pytest.mark.parametrize("act", [hoard, hoard_in_a_chain, hoard_awaiting, hoard_in_a_worker, hoard_in_a_thread])
@pytest.mark.parametrize("kind", PIECES)
def test_memory(kind: str, act: Callable[[str], Awaitable[None] | None]) -> None:
    with TestClient(plain, isolated=True, limits=MEMORY, timeout=10) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 48 MiB of memory") as caught:
            client.call(act, kind)
        assert caught.value.limit == "memory"
        assert client.get("/").text == "alive"
