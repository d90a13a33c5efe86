"""The stacks that a process is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from isoclient.process import dumps
from isoclient.process.dumps import ask_for_dump
from isoclient.process.output import OutputFile
from isoclient.system.descriptors import Belongings
from isoclient.system.modules import os

HEAD = 'Current thread 0x1 (most recent call first):\n  File "shop.py", line 17 in app\n'
TAIL = '  File "events.py", line 80 in _run\n'


@pytest.fixture
def file() -> Iterator[OutputFile]:
    belongings = Belongings()
    yield OutputFile("isoclient-test", None, belongings)
    belongings.close()


def begin(file: OutputFile) -> None:
    """What the first of the two signals does, in a process that does not come to the second."""
    if not file.file.size:
        os.write(file.file.descriptor, HEAD.encode())


def test_a_dump_that_has_begun_is_waited_for(file: OutputFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """What writes it may not get a processor for longer than one that can't write has to begin."""
    monkeypatch.setattr(dumps, "_TO_BEGIN", 0.0)
    looked_at = threading.Event()
    since = file.since

    def look(start: int) -> str:
        text = since(start)
        looked_at.set()
        return text

    monkeypatch.setattr(file, "since", look)

    def write_the_rest() -> None:
        looked_at.wait(10)
        os.write(file.file.descriptor, (TAIL + HEAD + TAIL).encode())

    tell = ask_for_dump(lambda: begin(file), file)
    writer = threading.Thread(target=write_the_rest)
    writer.start()
    assert tell() == HEAD + TAIL
    writer.join()


def test_one_that_does_not_begin_is_not(file: OutputFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps, "_TO_GO_ON", 600.0)
    monkeypatch.setattr(dumps, "_IN_ALL", 600.0)
    assert ask_for_dump(lambda: None, file)() == ""


def test_one_that_does_not_go_on_is_told_as_far_as_it_got(file: OutputFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps, "_TO_GO_ON", 0.05)
    assert ask_for_dump(lambda: begin(file), file)() == HEAD
