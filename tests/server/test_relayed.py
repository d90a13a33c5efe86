"""The app's side of a call that somebody else makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from isoclient.server.asyncio_runtime import AsyncioSignal
from isoclient.server.calls.relayed import RelayedCall
from isoclient.server.server import Server
from isoclient.wire.frames import ValueCodec
from isoclient.wire.mux import Mux
from isoclient.wire.protocol import WANTED, CallSpec


class Loop:
    """As much of a runtime as a call needs that is not spawned."""

    def signal(self) -> AsyncioSignal:
        return AsyncioSignal(asyncio.get_running_loop())

    def call_soon(self, func: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_soon(func)

    def write(self) -> None:
        pass


def test_a_message_is_asked_for_once_whatever_else_comes_meanwhile() -> None:
    async def main() -> None:
        client, end = Mux("client", ValueCodec()), Mux("server", ValueCodec())
        runtime: Any = Loop()
        codec: Any = ValueCodec()
        ours = client.open(CallSpec("relayed", ({"type": "websocket"}, None)))
        [(_, theirs, spec)] = end.feed(client.data_to_send())
        assert theirs is not None
        server = Server(_app, codec, runtime, end, calls={}, live={}, leave=None)
        call = RelayedCall(server, theirs, spec.argument)
        receiving = asyncio.create_task(call.receive())
        for _ in range(3):
            await asyncio.sleep(0)
            call.granted()
        client.feed(end.data_to_send())
        assert [message["type"] for message in ours.inbox] == [WANTED]

        client.send(ours, {"type": "websocket.connect"})
        end.feed(client.data_to_send())
        call.delivered(theirs.inbox[0])
        assert await receiving == {"type": "websocket.connect"}
        again = asyncio.create_task(call.receive())
        await asyncio.sleep(0)
        client.feed(end.data_to_send())
        assert [message["type"] for message in ours.inbox] == [WANTED, WANTED]
        again.cancel()

    asyncio.run(main())


class Looking(Loop):
    """A runtime that keeps what it is to call later, and notes when something is written."""

    def __init__(self, order: list[str]) -> None:
        self._order = order
        self.later: list[Callable[[], object]] = []

    def spawn(self, call: object) -> None:
        pass

    def call_later(self, seconds: float, func: Callable[[], object]) -> None:
        self.later.append(func)

    def write(self) -> None:
        self._order.append("written")


class Live:
    """As much of a side channel as a look needs."""

    is_live = True

    def __init__(self, order: list[str]) -> None:
        self.before_telling = [partial(order.append, "told")]


def test_what_is_done_after_a_message_is_told_so_much_later_that_the_test_has_that_by_then() -> None:
    async def main() -> None:
        order: list[str] = []
        client, end = Mux("client", ValueCodec()), Mux("server", ValueCodec())
        runtime: Any = Looking(order)
        codec: Any = ValueCodec()
        side: Any = Live(order)
        server = Server(_app, codec, runtime, end, calls={"relayed": RelayedCall}, live={}, leave=None, side=side)
        client.open(CallSpec("relayed", ({"type": "websocket"}, None)))
        [event] = end.feed(client.data_to_send())
        _, theirs, _ = event
        assert theirs is not None
        server.take(event)
        assert order == ["told"]  # by the first look
        server.emit(theirs, {"type": "websocket.accept"})
        assert order == ["told", "told", "written"]  # at once, with what was done before it
        runtime.later.pop()()
        assert order[3:] == []
        runtime.later.pop()()
        assert order[3:] == ["told"]

    asyncio.run(main())


async def _app(scope: object, receive: object, send: object) -> None:
    pass
