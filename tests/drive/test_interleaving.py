"""What another thread, or a signal handler, does between two steps of a wait, an open or a write."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from isoclient.drive.blocking import BlockingStream, wait
from isoclient.drive.waiting import Deadline
from isoclient.transit.codecs import PipeCodec
from isoclient.wire import protocol
from isoclient.wire.frames import Outbox
from isoclient.wire.protocol import CallSpec, Returned
from tests.drive.test_connection import SOON, Pair, body

MESSAGES = [{"type": "http.response.start", "status": 200}, body(b"whole", more=False)]


class Interruption(BaseException):
    """What a signal handler raises."""


class Inbox(deque[Any]):
    """Right after the first look whether there is something, something happens."""

    has_been_looked_at = False
    meanwhile: Callable[[], object]

    def __len__(self) -> int:
        found = super().__len__()
        if not self.has_been_looked_at:
            self.has_been_looked_at = True
            self.meanwhile()
        return found


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair(PipeCodec())
    yield made
    made.front.close()
    made.peer.close()


def all_by_receive(stream: BlockingStream) -> list[Any]:
    return list(iter(lambda: stream.receive(Deadline(SOON)), None))


def all_by_receive_all(stream: BlockingStream) -> list[Any]:
    return [message for some in iter(lambda: stream.receive_all(Deadline(SOON)), []) for message in some]


@pytest.mark.parametrize("receive", [all_by_receive, all_by_receive_all])
def test_another_thread_reads_all_of_an_answer_after_a_look(pair: Pair, receive: Callable[[Any], Any]) -> None:
    """The look that comes next is by the thread that leads, and so nobody reads meanwhile."""
    stream = pair.open()

    def lead() -> None:
        thread = threading.Thread(target=wait, args=(pair.front, lambda: stream.outcome is not None, Deadline(SOON)))
        thread.start()
        thread.join(SOON)

    for message in MESSAGES:
        pair.peer.send(stream, message)
    pair.peer.finish(stream, Returned())
    stream.wire.inbox = inbox = Inbox()
    inbox.meanwhile = lead
    assert receive(stream) == MESSAGES


def test_an_open_that_is_interrupted_when_it_has_been_said(pair: Pair) -> None:
    class Parts(deque[Any]):
        def append(self, part: Any) -> None:
            super().append(part)
            if len(self) == 1:
                raise Interruption

    outbox = pair.front.mux.outbox
    outbox.parts = Parts()
    with pytest.raises(Interruption):
        BlockingStream(pair.front, CallSpec("http", {"path": "/"}), Deadline(SOON))
    outbox.parts = deque(outbox.parts)
    assert pair.front.mux.streams == {}
    later = BlockingStream(pair.front, CallSpec("http", {"path": "/later"}), Deadline(SOON))
    said = [pair.peer.next()[:2] for _ in range(3)]
    assert said == [(protocol.OPEN, 1), (protocol.CANCEL, 1), (protocol.OPEN, later.wire.number)]


def test_a_write_without_waiting_that_is_interrupted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how much of it has been written, so nothing may be written again."""
    stream = pair.open()

    def sent(self: Outbox, count: int) -> None:
        raise Interruption

    pair.front.mux.cancel(stream.wire)
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "sent", sent)
        with pytest.raises(Interruption):
            pair.front.try_flush()
    assert pair.front.lost is not None
    pair.front.try_flush()
    assert pair.peer.next()[:2] == (protocol.CANCEL, stream.wire.number)
    pair.front.close()
    assert pair.peer.pipe.read() is None
