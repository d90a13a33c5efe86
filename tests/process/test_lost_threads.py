"""The threads of the test's process that a fork lacks: told by what they do, and not kept."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from isoclient.process.lost_threads import work_of_others

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


def wait(event: threading.Event, *others: object) -> None:
    event.wait(60)


def test_what_they_do() -> None:
    event = threading.Event()
    double = mock.Mock(side_effect=wait)  # has any attribute that is asked for
    threads = [
        threading.Thread(target=wait, args=(event,), name="plain"),
        threading.Thread(target=partial(partial(wait), event), name="partial"),
        threading.Thread(target=double, args=(event,), name="double"),
    ]
    for thread in threads:
        thread.start()
    try:
        assert work_of_others() == [f"'{name}' ({__name__}.wait)" for name in ("plain", "partial")]
    finally:
        event.set()
        for thread in threads:
            thread.join()


class Kept(threading.Thread):
    """A thread that has what it was given, for as long as it is there itself."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__(name="kept")
        self.event = event

    def run(self) -> None:
        wait(self.event)


def start_kept(event: threading.Event) -> weakref.ref[threading.Thread]:
    thread = Kept(event)
    thread.start()
    return weakref.ref(thread)


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_they_go_with_their_work(make_client: MakeClient) -> None:
    event = threading.Event()
    seen = start_kept(event)
    client = make_client(app)
    try:
        client.get("/")
    finally:
        event.set()
        for thread in threading.enumerate():
            if thread.name == "kept":
                thread.join()
        del thread
    assert seen() is None
