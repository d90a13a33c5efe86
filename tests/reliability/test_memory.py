"""Streams need little memory, and go both ways at once: a sample of ``memory.py``. And so does what an app prints."""

from __future__ import annotations

import os
import tempfile

import pytest

from isoclient import AppCrashed, TestClient
from isoclient.system.descriptors import Belongings
from isoclient.system.shared_files import SharedFile
from tests.reliability.memory import BOUND, MEGABYTE, growth, talk_both_ways
from tests.reliability.plain_apps import Receive, Scope, Send, answer


@pytest.mark.parametrize("path", ["/up", "/down"])
def test_a_long_stream_needs_little_memory(path: str) -> None:
    grown = growth(path, 100)
    assert grown.test < BOUND
    assert grown.app < BOUND


@pytest.mark.parametrize("piece", [64 * 1024, MEGABYTE, 10 * MEGABYTE])
def test_two_way_traffic_does_not_deadlock(piece: int) -> None:
    talk_both_ways(10, piece)


async def printing(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/crash":
        os.write(2, b"the last words\n")
        os.abort()
    for number in range(100):
        os.write(1, b"%08d\n" % number * 10_000)
    os.write(2, b"an error\n" * 1000)
    await answer(send)


def _memory_of(name: str) -> int:
    (file,) = (entry for entry in os.scandir("/proc/self/fd") if name in os.readlink(entry.path))
    return os.stat(file.path).st_blocks * 512


def test_what_an_app_has_printed_takes_no_memory_for_long(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "".join(f"{number:08}\n" * 10_000 for number in range(100))
    with TestClient(printing, isolated=True) as client:
        for _ in range(3):
            client.get("/")
            assert capsys.readouterr().out == expected  # all of it, and nothing of it twice
            assert _memory_of("isoclient-stdout") < 5_000_000  # of 9 MB each time
        # What is less is left alone.
        assert _memory_of("isoclient-stderr") >= 3 * 9000
        with pytest.raises(AppCrashed) as caught:
            client.get("/crash")
    assert caught.value.stderr.endswith("an error\nan error\nthe last words\n")


def test_the_tail_of_much_that_an_app_has_printed_stays(capsys: pytest.CaptureFixture[str]) -> None:
    def print_much() -> None:
        os.write(2, (b"an error\n" * 1_000_000)[-17 * 256 * 1024 :])  # it is given back with the last piece of it

    with TestClient(printing, isolated=True) as client:
        client.call(print_much)
        assert _memory_of("isoclient-stderr") < MEGABYTE
        with pytest.raises(AppCrashed) as caught:
            client.get("/crash")
    assert caught.value.stderr.endswith("an error\n" * 1000 + "the last words\n")


def test_no_memory_of_another_file_is_given_back() -> None:
    """The number of a file that has been closed may belong to one of the user's."""
    belongings = Belongings()
    ours = SharedFile("ours", belongings)
    os.write(ours.descriptor, bytes(8 * MEGABYTE))
    while ours.read(8 * MEGABYTE):
        pass
    with tempfile.TemporaryFile() as theirs:
        theirs.write(b"x" * 8 * MEGABYTE)
        theirs.flush()
        number = os.dup2(theirs.fileno(), ours.descriptor)
        ours.give_back()
        theirs.seek(0)
        assert theirs.read() == b"x" * 8 * MEGABYTE
    belongings.close()
    os.close(number)  # it is still there
