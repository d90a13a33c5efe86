"""Interrupt a client at some of the points of its life: a sample of ``interrupts.py``; and its end, in each mode."""

from __future__ import annotations

import atexit
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from isoclient.system.descriptors import Belongings
from tests.reliability.handles import handle_of
from tests.reliability.interrupts import MODES, holdings, points
from tests.reliability.marks import slow

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

SAMPLE: Final = {"thread": 149, "fork": 399}  # one point of so many


@pytest.mark.rest
@pytest.mark.parametrize(("moment", "end"), [("start", "drop"), ("close", "close")])
@pytest.mark.parametrize("mode", [mode if mode in SAMPLE else pytest.param(mode, marks=slow) for mode in MODES])
def test_nothing_stays(mode: str, moment: str, end: str) -> None:
    came_up = set()
    for point in points(mode, moment, end=end, every=SAMPLE.get(mode, 199)):
        assert not point.left, point
        came_up.add(point.came_up)
    assert "raised" in came_up


class Stop(BaseException):
    """Such as pytest-timeout raises, out of a signal handler."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    print("words")
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("also", [(), ("kill",)], ids=["once", "twice"])
def test_an_end_that_is_interrupted(
    also: tuple[str, ...], make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done by force at once, or gone on with by the next who asks for it."""
    client = make_client(app, restart=False)
    client.get("/")
    handle: Any = handle_of(client)

    def interrupted(*args: Any) -> None:
        raise Stop

    with monkeypatch.context() as context:
        context.setattr(handle.connection, "ask_to_end", interrupted)
        for name in also:
            context.setattr(handle, name, interrupted)
        with pytest.raises(Stop):
            client.close()
    assert (handle.connection.lost is None) == bool(also)
    client.close()
    assert handle.connection.lost is not None
    assert handle.stop() is None  # there is nothing left to end
    assert client.get("/").status_code == 200  # of a fresh copy of the app, which restart=False does not forbid


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_an_end_that_can_not_be_told(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the app has printed last is refused by the test's stdout: that is told, and nothing of the app stays."""
    client = make_client(app)
    client.get("/")
    client.call(atexit.register, print, "more")
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", Refusing())
        with pytest.raises(RuntimeError, match="refused"):
            client.close()
    assert not any("isoclient" in kind for kind in holdings())


class Refusing(io.StringIO):
    """A standard stream that takes nothing."""

    def write(self, text: str) -> int:
        raise RuntimeError(f"refused: {text}")


def test_descriptors_are_closed_once() -> None:
    belongings = Belongings()
    first, second = belongings.make_all(os.pipe)
    belongings.close_one(first)
    reused = os.dup(second)  # most likely it gets the number of the one that was closed
    belongings.close_one(first)
    belongings.close()
    os.fstat(reused)
    os.close(reused)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(second)


def test_descriptors_that_nobody_refers_to_are_closed() -> None:
    reading, _ = Belongings().make_all(os.pipe)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
