"""When it is known what an app does with mocks of the test's, and mocks that come after its start."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import signal
import tempfile
import threading
import time
from typing import Any
from unittest import mock
from unittest.mock import ANY, MagicMock, Mock, call, create_autospec

import pytest
from pytest_mock import MockerFixture

from isoclient import AppCrashed, TestClient
from tests.conftest import Cell, MakeClient, Receive, Scope, Send
from tests.mirror.mocked import Till, app_of, charge
from tests.waiting import eventually

pytestmark = [pytest.mark.backends("asyncio"), pytest.mark.modes("fork", "forkserver", "spawn", "thread")]


# -- when they are there


@pytest.mark.rest("forkserver", "spawn")
def test_calls_of_all_parts_of_its_life(make_client: MakeClient) -> None:
    """Of threads, WebSockets, its lifespan, and what it is asked to call."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            root.startup()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            root.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                root.said(message["text"])
                await send({"type": "websocket.send", "text": "heard"})
        else:
            await send({"type": "http.response.start", "status": 200})
            thread = threading.Thread(target=root.in_a_thread, args=(1,))
            thread.start()
            thread.join()
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            root.streaming()
            await send({"type": "http.response.body", "body": b"last"})

    root = Mock()
    with make_client(app) as client:
        assert root.mock_calls == [call.startup()]
        with client.websocket_connect("/") as session:
            for number in range(3):
                session.send_text(str(number))
                session.receive_text()
                assert root.mock_calls[-1] == call.said(str(number))
        root.reset_mock()
        client.get("/")
        assert root.mock_calls == [call.in_a_thread(1), call.streaming()]
        client.call(root.asked, 2)
        root.asked.assert_called_once_with(2)
    assert root.mock_calls[-1] == call.shutdown()


@pytest.mark.rest("forkserver", "spawn")
def test_calls_are_known_when_a_response_begins(make_client: MakeClient) -> None:
    """By what nobody is told of that it is read, too."""
    root = Mock()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        root.seen(scope["type"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200})
            await receive()
        await receive()

    client = make_client(app)
    with client.websocket_connect("/"):
        assert root.method_calls == [call.seen("websocket")]
    root.reset_mock()
    with client.get("/", stream=True):
        assert root.method_calls == [call.seen("http")]


@pytest.mark.rest("forkserver", "spawn")
def test_calls_of_threads_are_known_to_who_reads_later(make_client: MakeClient) -> None:
    function = Mock()

    def act() -> None:
        threading.Thread(target=call_later).start()

    def call_later() -> None:
        while not os.path.exists(client_has_read):
            time.sleep(0.001)
        function.later(1)

    with tempfile.TemporaryDirectory() as directory:
        client_has_read = os.path.join(directory, "read")
        make_client(app_of(act)).get("/")
        function.later.assert_not_called()
        with open(client_has_read, "w"):
            pass
        eventually(lambda: function.later.called)
        function.later.assert_called_once_with(1)


@pytest.mark.modes("fork", "spawn")
def test_a_crash_keeps_what_was_called(make_client: MakeClient) -> None:
    function = Mock()

    def act() -> None:
        function(1)
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AppCrashed):
        make_client(app_of(act)).get("/")
    function.assert_called_once_with(1)


# -- mocks that come later


def test_one_that_is_made_later_can_be_handed_over(make_client: MakeClient) -> None:
    client = make_client(app_of(lambda: None))
    client.get("/")
    later = MagicMock(spec=Till, name="later")
    later.open.side_effect = [5, 6]
    held = client.call(lambda it: [it.open(1), it.open(2, by="ada")], later)
    assert held == [5, 6]
    assert later.mock_calls == [call.open(1), call.open(2, by="ada")]
    function = create_autospec(charge, return_value="paid")
    assert client.call(function, "gold") == "paid"
    function.assert_called_once_with("gold")
    with pytest.raises(TypeError, match="missing a required argument: 'card'"):
        client.call(function)
    method = Mock(spec=Till().open)
    client.call(method, 3)
    method.assert_called_once_with(3)


kept: list[Any] = []


def keep(*things: Any) -> None:
    kept.extend(things)


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    kept.clear()


def test_sent_twice_it_is_the_same_and_it_comes_back_as_itself(make_client: MakeClient) -> None:
    client = make_client(app_of(lambda: None))
    client.get("/")
    one = Mock()
    client.call(keep, one, one.child)
    client.call(keep, one, functools.partial(one, 1))
    assert client.call(lambda: kept[0] is kept[2] is kept[3].func and kept[0].child is kept[1])
    assert client.call(lambda: kept[0]) is one
    assert client.call(lambda: [kept[1], kept[0].made.there()]) == [one.child, one.made.there.return_value]
    client.call(lambda: kept[3](2))
    one.assert_called_once_with(1, 2)
    one.return_value = "set later"
    assert client.call(lambda: kept[0]()) == "set later"


@pytest.mark.rest("forkserver", "spawn")
def test_a_patch_takes_one(make_client: MakeClient) -> None:
    client = make_client(app_of(lambda: charge("gold")))
    client.get("/")
    fake = Mock(return_value="faked")
    with client.patched(f"{__name__}.charge", fake):
        assert client.call(calling_charge, "silver") == "faked"
    fake.assert_called_once_with("silver")


def test_what_is_patched_later_records(make_client: MakeClient, mocker: MockerFixture) -> None:
    async def act() -> Any:
        return charge("gold"), Till().open(1), await Till().print("text")

    client = make_client(app_of(act))
    usual = client.get("/").text
    assert usual == "('gold 1', 'open 1 ', 4)"
    with mock.patch(f"{__name__}.charge", autospec=True, return_value="paid") as charged:
        assert client.get("/").text == "('paid', 'open 1 ', 4)"
        charged.assert_called_once_with("gold")
        charged.return_value = "twice"
        assert client.get("/").text == "('twice', 'open 1 ', 4)"
    assert client.get("/").text == usual
    assert charged.call_count == 2
    opened, printed = mocker.spy(Till, "open"), mocker.spy(Till, "print")
    assert client.get("/").text == usual
    opened.assert_called_once_with(ANY, 1)
    assert (opened.spy_return, printed.spy_return, printed.await_count) == ("open 1 ", 4, 1)


def calling_charge(card: str) -> str:
    return charge(card)


@pytest.mark.modes("fork")
def test_an_app_that_isolates_another(make_client: MakeClient, cell: Cell) -> None:
    """What that one does with a mock comes through both."""

    def act() -> int:
        own = Mock()
        with TestClient(app_of(lambda: (root.inner(1), own(2))), **cell.options) as client:
            client.get("/")
        root.outer(own.call_count)
        return own.call_count

    async def in_a_thread() -> int:
        return await asyncio.to_thread(act)

    root = Mock()
    assert make_client(app_of(in_a_thread)).get("/").text == "1"
    assert root.mock_calls == [call.inner(1), call.outer(1)]


# -- all together


@pytest.mark.rest("forkserver", "spawn")
def test_a_seeded_tree_of_mocks_ends_as_in_one_process(make_client: MakeClient) -> None:
    """Random calls, attributes and configuration, by turns in the app and in the test."""

    def play(seed: int, root: Any) -> None:
        dice = random.Random(seed)
        for number in range(dice.randrange(1, 8)):
            part = root
            for _ in range(dice.randrange(4)):
                step = dice.choice("abc()")
                part = part() if step in "()" else getattr(part, step)
            part(number, key=dice.choice("xyz"))

    there, here = MagicMock(), MagicMock()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            play(int(scope["query_string"]), there)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b""})

    client = make_client(app)
    for seed in range(60):
        if seed % 4 == 3:
            play(seed, there)
        else:
            client.get("/", params=str(seed))
        play(seed, here)
        assert there.mock_calls == here.mock_calls, seed
        assert there.method_calls == here.method_calls, seed
