"""Mocks of a test whose client is not ours: what an isolated app has done with them is known with each message."""

from __future__ import annotations

from unittest.mock import AsyncMock, Mock, call

import pytest

from tests.conftest import Receive, Scope, Send
from tests.isolate.callers import CALLERS, Caller, starlette_client
from tests.isolate.conftest import MakeIsolated

pytestmark = [pytest.mark.modes("fork", "forkserver", "spawn"), pytest.mark.backends("asyncio")]


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.parametrize("request_to", CALLERS)
def test_calls_are_known_with_the_response(make_isolated: MakeIsolated, request_to: Caller) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            body = str(function(scope["path"]) + await awaited()).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        else:
            while (message := await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": f"{message['type']}.complete"})

    function, awaited = Mock(side_effect=[1, 2]), AsyncMock(return_value=10)
    isolated = make_isolated(app)
    assert request_to(isolated, "GET", "/a").body == b"11"
    assert function.mock_calls == [call("/a")]
    awaited.return_value = 20
    assert request_to(isolated, "GET", "/b").body == b"22"
    assert function.mock_calls == [call("/a"), call("/b")]
    assert awaited.await_count == 2


def test_calls_are_known_with_each_message(make_isolated: MakeIsolated) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            root.startup()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            root.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                root.said(message["text"])
                await send({"type": "websocket.send", "text": "heard"})

    root = Mock()
    isolated = make_isolated(app)
    with starlette_client(isolated) as client:
        assert root.method_calls == [call.startup()]
        with client.websocket_connect("/") as session:
            for number in range(3):
                session.send_text(str(number))
                session.receive_text()
                assert root.method_calls[-1] == call.said(str(number))
        isolated.call(root.asked, 1)
        assert root.method_calls[-1] == call.asked(1)
    assert root.method_calls[-1] == call.shutdown()
