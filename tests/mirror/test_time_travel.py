"""An app that runs is where in time the test is, by freezegun or time-machine, and comes back with it."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
from freezegun import freeze_time
from time_machine import travel

from isoclient import TestClient
from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.backends("asyncio"), pytest.mark.modes("fork", "forkserver", "spawn")]

NOW = {datetime.date.today().year}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.001)  # the time of the event loop goes on
    years = {datetime.datetime.now().year, datetime.date.today().year, time.gmtime().tm_year}
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr(years).encode()})


def years(client: TestClient) -> Any:
    return eval(client.get("/").text)


@pytest.mark.rest("forkserver", "spawn")
def test_freezegun(make_client: MakeClient) -> None:
    client = make_client(app)
    assert years(client) == NOW
    with freeze_time("2012-01-14") as frozen:
        assert years(client) == {2012}
        frozen.move_to("2013-05-05")
        assert years(client) == {2013}
        with freeze_time("1999-05-05", tick=True):
            assert years(client) == {1999}
        assert years(client) == {2013}
    assert years(client) == NOW


def test_time_machine(make_client: MakeClient) -> None:
    client = make_client(app)
    assert years(client) == NOW
    with travel(datetime.datetime(1985, 10, 26), tick=False) as traveller:
        assert years(client) == {1985}
        traveller.move_to(datetime.datetime(2015, 10, 26))
        assert years(client) == {2015}
    assert years(client) == NOW
    with travel("1986-01-02 12:00"):
        assert years(client) == {1986}
    assert years(client) == NOW


@pytest.mark.parametrize("go", [freeze_time, travel])
def test_one_that_begins_elsewhere_comes_back(make_client: MakeClient, go: Callable[[str], Any]) -> None:
    client = make_client(app)
    with go("2012-01-14 12:00"):
        assert years(client) == {2012}
    assert years(client) == NOW
