"""Each limit is told as what it is, however the app comes to it: the path that tells needs what has run out."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import mmap
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from isoclient import AppCrashed, AppStartupError, Limits, TestClient
from tests.reliability.marks import slow
from tests.reliability.plain_apps import Receive, Scope, Send, answer, live, plain

MEMORY = Limits(memory=48 << 20)
FILES = Limits(open_files=20)
TIME = Limits(cpu_seconds=1)


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


_LARGE = ("1 MB", "10 MB", "100 MB")
_USUAL = ("100 bytes", "10 MB")
_REST = ("1 MB", "strings")

KINDS = [
    kind if kind in _USUAL else pytest.param(kind, marks=pytest.mark.rest if kind in _REST else slow) for kind in PIECES
]


@pytest.mark.parametrize("act", [hoard, hoard_in_a_chain, hoard_awaiting, hoard_in_a_worker, hoard_in_a_thread])
@pytest.mark.parametrize("kind", KINDS)
def test_memory(kind: str, act: Callable[[str], Awaitable[None] | None]) -> None:
    size = 48 if kind in _LARGE else 16  # MiB; it takes long to take as much in small pieces
    with TestClient(plain, isolated=True, limits=Limits(memory=size << 20), timeout=5) as client:
        with pytest.raises(AppCrashed, match=f"hit its limit of {size} MiB of memory") as caught:
            client.call(act, kind)
        assert caught.value.limit == "memory"
        assert client.get("/").text == "alive"


def start_threads() -> None:
    """The stack of each takes address space."""
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def die_like_rust() -> None:
    """What is written in Rust ends the process when memory is refused."""
    os.write(2, b"memory allocation of 4194304 bytes failed\n")
    os.abort()


def drop() -> None:
    """What ``__del__`` raises goes nowhere."""
    Dropped()
    time.sleep(60)


class Dropped:
    def __del__(self) -> None:
        hoard("1 MB")


@pytest.mark.parametrize("act", [start_threads, die_like_rust, drop])
def test_memory_otherwise(act: Callable[[], None]) -> None:
    with TestClient(plain, isolated=True, limits=MEMORY, timeout=10) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 48 MiB of memory"):
            client.call(act)
        assert client.get("/").text == "alive"


def take_all() -> None:
    """Take memory by the page until there is none, which is no error here."""
    with contextlib.suppress(MemoryError, OSError):
        while True:
            KEPT.append(mmap.mmap(-1, 1 << 18))


def take_all_and_wait() -> None:
    take_all()
    while True:
        time.sleep(1)


def test_an_app_that_hangs_without_memory_is_not_waited_for() -> None:
    """As one does whose thread could not begin, and so never says that it has."""
    with TestClient(plain, isolated=True, limits=MEMORY, timeout=None) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 48 MiB of memory") as caught:
            client.call(take_all_and_wait)
        assert "in take_all_and_wait" in caught.value.stack
        assert client.get("/").text == "alive"


async def take_all_and_give_it_back() -> None:
    """As a thread does whose MemoryError could not even be told, for want of memory."""
    take_all()
    KEPT.clear()
    await asyncio.sleep(60)


def test_an_app_that_waits_for_what_memory_has_cost_it_is_told_as_that() -> None:
    with TestClient(plain, isolated=True, limits=MEMORY, timeout=1) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 48 MiB of memory"):
            client.call(take_all_and_give_it_back)
        assert client.get("/").text == "alive"


def take_all_and_go_on() -> None:
    take_all()
    KEPT.clear()
    atexit.register(time.sleep, 60)


def test_an_app_that_had_no_memory_once_is_not_said_to_end_for_that() -> None:
    client = TestClient(plain, isolated=True, limits=MEMORY, timeout=10)
    client.call(take_all_and_go_on)
    assert client.get("/").text == "alive"
    with pytest.warns(RuntimeWarning, match="did not end when it was asked to"):
        client.close()


async def clinging(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes all memory when it is to shut down, and does not come back from that."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        take_all_and_wait()
    await answer(send)


@pytest.mark.parametrize("lifespan", ["auto", "off"])
def test_an_app_that_ends_without_memory_is_told_as_that(lifespan: Any) -> None:
    client = TestClient(clinging, isolated=True, limits=MEMORY, timeout=10, lifespan=lifespan)
    client.__enter__()
    if lifespan == "off":
        client.call(_later, take_all_and_wait)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of force
        with pytest.raises(AppCrashed, match="hit its limit of 48 MiB of memory"):
            client.close()


async def _later(act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(act)


# -- processor time


def spin() -> None:
    while True:
        pass


def spin_on() -> None:
    """With a handler of the app's own for the signal."""
    signal.signal(signal.SIGXCPU, lambda *_: None)
    spin()


def spin_ignoring() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    spin()


def spin_deaf() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU})
    spin()


async def spin_in_a_thread() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    threading.Thread(target=spin, daemon=True).start()
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    "act",
    [spin_on, spin_in_a_thread, *(pytest.param(act, marks=slow) for act in (spin, spin_ignoring, spin_deaf))],
)
def test_processor_time(act: Callable[[], Awaitable[None] | None]) -> None:
    with TestClient(plain, isolated=True, limits=TIME, timeout=60) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 1 s of processor time") as caught:
            client.call(act)
        assert caught.value.limit == "cpu_seconds"
        assert "in spin" in caught.value.stack
        assert client.get("/").text == "alive"


async def talking(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without end, so that whoever reads that never waits, and ignores the signal."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    await send({"type": "http.response.start", "status": 200})
    while True:
        await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})


@slow
def test_processor_time_of_an_app_that_talks() -> None:
    with TestClient(talking, isolated=True, limits=TIME, timeout=60) as client:
        response = client.get("/", stream=True)
        with pytest.raises(AppCrashed, match="hit its limit of 1 s of processor time"):
            for _ in response.iter_content(1000):
                pass


# -- open files


def take_descriptors() -> None:
    while True:
        os.dup(0)


async def take_descriptors_in_a_worker() -> None:
    await asyncio.to_thread(take_descriptors)


async def take_descriptors_in_a_thread() -> None:
    threading.Thread(target=take_descriptors, daemon=True).start()
    await asyncio.sleep(60)


async def take_descriptors_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(take_descriptors))


@pytest.mark.parametrize(
    "act",
    [take_descriptors, take_descriptors_in_a_worker, take_descriptors_in_a_thread, take_descriptors_in_a_group],
)
def test_open_files(act: Callable[[], Awaitable[None] | None]) -> None:
    with TestClient(plain, isolated=True, limits=FILES, timeout=10) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 20 open files") as caught:
            client.call(act)
        assert caught.value.limit == "open_files"
        assert client.get("/").text == "alive"


def is_lifted() -> None:
    """How the limit is told may need descriptors: of a module that is yet to be imported, for one."""
    try:
        take_descriptors()
    except OSError as error:
        raise Telling from error


class Telling(Exception):
    def __reduce__(self) -> Any:
        os.close(os.open(os.devnull, os.O_RDONLY))
        return super().__reduce__()


def test_the_limit_of_open_files_is_lifted_before_it_is_told() -> None:
    with TestClient(plain, isolated=True, limits=FILES) as client:
        with pytest.raises(AppCrashed, match="hit its limit of 20 open files") as caught:
            client.call(is_lifted)
        assert isinstance(caught.value.__cause__, Telling)


# -- elsewhere


@pytest.mark.parametrize(
    ("limits", "act", "text"),
    [(MEMORY, "kept.append(bytes(1000))", "48 MiB of memory"), (FILES, "os.dup(0)", "20 open files")],
    ids=["memory", "open_files"],
)
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=slow)])
def test_while_the_app_is_imported(
    limits: Limits, act: str, text: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "greedy.py").write_text(f"import os\nkept = []\nwhile True:\n    {act}\n")
    monkeypatch.syspath_prepend(tmp_path)
    client = TestClient("greedy:plain", isolated=True, start_method=method, limits=limits, timeout=30)
    with pytest.raises(AppStartupError, match=f"could not be loaded, for it hit its limit of {text}"):
        client.get("/")
    client.close()


@slow
def test_processor_time_while_the_app_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busy.py").write_text(
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    client = TestClient("busy:plain", isolated=True, limits=TIME, timeout=60)
    with pytest.raises(AppCrashed, match="hit its limit of 1 s of processor time while being started"):
        client.get("/")
    client.close()


@pytest.mark.parametrize(
    ("limits", "act", "text"),
    [
        (Limits(memory=16 << 20), lambda: hoard_in_a_chain("100 bytes"), "16 MiB of memory"),
        (MEMORY, take_all_and_wait, "48 MiB of memory"),
        (FILES, take_descriptors, "20 open files"),
    ],
    ids=["memory", "memory without an error", "open_files"],
)
def test_on_trio(limits: Limits, act: Callable[[], None], text: str) -> None:
    with TestClient(plain, isolated=True, backend="trio", limits=limits, timeout=10) as client:
        with pytest.raises(AppCrashed, match=f"hit its limit of {text}"):
            client.call(act)
        assert client.get("/").text == "alive"


def test_without_hooks_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of pytest nobody asks for the exceptions of threads, and they are printed."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    client = TestClient(plain, isolated=True, limits=MEMORY, timeout=10)
    with client, pytest.raises(AppCrashed, match="hit its limit of 48 MiB of memory"):
        client.call(hoard_in_a_thread, "10 MB")
