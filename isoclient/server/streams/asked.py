"""What the test asks of the app's process beside calls of the app."""

from __future__ import annotations

from typing import ClassVar

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.server.streams.base import Stream
from isoclient.wire.protocol import Returned, StreamKind

__all__ = ["CallStream", "InspectStream", "PingStream", "StateStream"]


class CallStream(Stream):
    """``client.call``: a function called on the app's loop."""

    kind: ClassVar[StreamKind] = "call"
    _trusted = False  # whether the test lets the result run any code there

    async def call(self) -> object:
        packed, self._trusted = self.argument
        try:
            func, args, kwargs = self.server.codec.unpack_object(packed, self.server.live)
        except ObjectNotLoadable as error:
            raise error.with_traceback(None) from error.__cause__  # its frames are ours alone
        result = func(*args, **kwargs)
        return await result if hasattr(type(result), "__await__") else result

    def returned(self, value: object) -> None:
        try:
            pack = self.server.codec.pack_object if self._trusted else self.server.codec.pack_result
            packed = pack(value, self.server.live)
        except ObjectNotSendable as error:
            self.raised(error.with_traceback(None))
        except Exception as error:
            self.raised(error)
        else:
            self.server.end(self, Returned(packed))


class StateStream(Stream):
    """``client.app_state``: what the lifespan has put into the state."""

    kind: ClassVar[StreamKind] = "state"

    async def call(self) -> object:
        return self.server.codec.pack_debug(self.server.state)

    def returned(self, value: object) -> None:
        self.server.end(self, Returned(value))


class InspectStream(Stream):
    """What the tasks on the loop are doing, as text; also the proof that the loop is not stuck."""

    kind: ClassVar[StreamKind] = "inspect"

    async def call(self) -> object:
        return self.server.runtime.describe_tasks()

    def returned(self, value: object) -> None:
        self.server.end(self, Returned(value))


class PingStream(InspectStream):
    """That proof alone."""

    kind: ClassVar[StreamKind] = "ping"

    async def call(self) -> object:
        return None
