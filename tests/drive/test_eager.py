"""Waiting for an answer: with a look or two before a sleep where answers come fast, and without where they do not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from select import POLLIN
from typing import Any

import pytest

from isoclient import TestClient
from isoclient.drive import waiting
from isoclient.drive.waiting import EagerPoll

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="it looks only where it can offer its processor")

LONG = 60.0


class Pipe:
    """A pipe that is waited for, and how often that has looked for it in vain; at each third time it is written to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reader, self.writer = os.pipe()
        self.looks = 0
        monkeypatch.setattr(waiting, "_offer_processor", self._look)
        monkeypatch.setattr(waiting, "_processors", lambda: 2)
        monkeypatch.setattr(waiting, "_MOMENT", LONG)  # so that no load makes a fast answer a slow one
        monkeypatch.setattr(waiting, "_LATE", LONG)
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
    assert not pipe.wait(1)  # no answer, so it does not count
    pipe.answer_at_once()
    assert not pipe.wait(1)
    pipe.answer_at_once()
    pipe.answer_at_once()
    assert pipe.looks == 0
    assert pipe.wait()
    assert pipe.looks == 3
    assert pipe.wait()
    assert pipe.looks == 6


def test_it_does_not_after_a_slow_answer(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.answer_at_once()
    pipe.answer_at_once()
    monkeypatch.setattr(waiting, "_MOMENT", 0.0)
    assert not pipe.wait(1)
    looks = pipe.looks
    monkeypatch.setattr(waiting, "_MOMENT", LONG)
    pipe.answer_at_once()
    assert not pipe.wait(1)
    assert pipe.looks == looks <= 1
    pipe.answer_at_once()
    pipe.answer_at_once()
    assert pipe.wait()
    assert pipe.looks > looks


def test_it_does_not_where_there_is_no_time(pipe: Pipe) -> None:
    pipe.answer_at_once()
    pipe.answer_at_once()
    assert not pipe.wait(0)
    assert pipe.looks == 0


def test_it_does_not_on_a_single_processor(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_processors", lambda: 1)
    pipe.poll.allow()
    pipe.answer_at_once()
    pipe.answer_at_once()
    assert not pipe.wait(1)
    assert pipe.looks == 0


def test_it_sleeps_for_a_while_once_it_had_its_processor_back_late(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.answer_at_once()
    pipe.answer_at_once()
    monkeypatch.setattr(waiting, "_LATE", 0.0)
    monkeypatch.setattr(waiting, "_BUSY", LONG)
    assert pipe.wait()
    assert pipe.looks == 3
    monkeypatch.setattr(waiting, "_LATE", LONG)
    pipe.answer_at_once()
    assert not pipe.wait(1)
    assert pipe.looks == 3


def test_tasks_sleep_likewise(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> bool:
        pipe.poll.asked()
        return pipe.poll.is_expected

    for _ in range(2):
        ask()
        pipe.poll.answered()
    assert ask()
    monkeypatch.setattr(waiting, "_LATE", 0.0)
    monkeypatch.setattr(waiting, "_BUSY", LONG)
    assert pipe.poll.glance()
    pipe.poll.answered()
    assert not ask()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers at once, or when it has been looked for."""
    number = scope["query_string"]
    if number:
        await asyncio.to_thread(os.read, int(number), 1)
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def test_an_app_in_a_process_of_its_own_is_looked_for(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(TestClient(app, isolated=True, start_method="fork", timeout=10.0)) as client:
        client.get("/")
        client.get("/")
        monkeypatch.setattr(waiting, "_offer_processor", lambda: os.write(pipe.writer, b"x"))
        assert client.get(f"/?{pipe.reader}").status_code == 204


def test_an_app_in_a_thread_is_not(pipe: Pipe) -> None:
    with closing(TestClient(app)) as client:
        for _ in range(20):
            client.get("/")
    assert pipe.looks == 0
