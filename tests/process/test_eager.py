"""Waiting for an answer: with a look or two before a sleep where answers come fast, and without where they do not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from select import POLLIN
from typing import Any

import pytest

from isoclient import TestClient
from isoclient.process import eager
from isoclient.process.eager import EagerPoll

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="it looks only where it can offer its processor")

LONG = 60.0


class Pipe:
    """A pipe that is waited for, and how often that has looked for it in vain; at each third time it is written to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reader, self.writer = os.pipe()
        self.looks = 0
        monkeypatch.setattr(eager, "_offer_processor", self._look)
        monkeypatch.setattr(eager, "_processors", lambda: 2)
        monkeypatch.setattr(eager, "_MOMENT", LONG)  # so that no load makes a fast answer a slow one
        self.poll = EagerPoll()
        self.poll.allow()
        self.poll.register(self.reader, POLLIN)

    def _look(self) -> None:
        self.looks += 1
        if self.looks % 3 == 0:
            os.write(self.writer, b"x")

    def answer_at_once(self) -> None:
        os.write(self.writer, b"x")
        assert self.wait()

    def wait(self, milliseconds: int = 10_000) -> bool:
        ready = bool(self.poll.poll(milliseconds))
        if ready:
            os.read(self.reader, 1)
        return ready

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    pipe = Pipe(monkeypatch)
    yield pipe
    pipe.close()


def test_it_looks_once_two_answers_came_fast(pipe: Pipe) -> None:
    pipe.answer_at_once()
    assert not pipe.wait(1)  # this was fast, too: a moment is long here
    assert pipe.looks == 0
    assert pipe.wait()
    assert pipe.looks == 3
    assert pipe.wait()
    assert pipe.looks == 6


def test_it_does_not_after_a_slow_answer(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.answer_at_once()
    pipe.answer_at_once()
    monkeypatch.setattr(eager, "_MOMENT", 0.0)
    assert not pipe.wait(1)
    looks = pipe.looks
    monkeypatch.setattr(eager, "_MOMENT", LONG)
    assert not pipe.wait(1)
    assert pipe.looks == looks <= 1
    assert not pipe.wait(1)
    assert pipe.looks == looks
    assert pipe.wait()
    assert pipe.looks > looks


def test_it_does_not_where_there_is_no_time(pipe: Pipe) -> None:
    pipe.answer_at_once()
    pipe.answer_at_once()
    assert not pipe.wait(0)
    assert pipe.looks == 0


def test_it_does_not_on_a_single_processor(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "_processors", lambda: 1)
    pipe.poll.allow()
    pipe.answer_at_once()
    pipe.answer_at_once()
    assert not pipe.wait(1)
    assert pipe.looks == 0


@pytest.mark.parametrize("isolated", [True, False])
def test_only_an_app_in_a_process_of_its_own_is_looked_for(isolated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "_MOMENT", LONG)
    monkeypatch.setattr(eager, "_processors", lambda: 2)
    looked = threading.Event()
    monkeypatch.setattr(eager, "_offer_processor", looked.set)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    client = TestClient(app, isolated=isolated)
    for _ in range(20):
        client.get("/")
    client.close()
    assert looked.is_set() == isolated
