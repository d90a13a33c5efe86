"""The app's side of a call that somebody else makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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


async def _app(scope: object, receive: object, send: object) -> None:
    pass
