"""The lifespan of an isolated app that somebody else runs: over one copy of the app, and over those that follow it."""

from __future__ import annotations

from collections.abc import MutableMapping

from isoclient.client.app_copy import AppCopy
from isoclient.client.call import Call, reraise
from isoclient.client.relay import FAILURES, Receive, Relay, Scope, Send, call_of, until_ready
from isoclient.client.request_errors import AppStartupError
from isoclient.drive.awaiting import wait
from isoclient.drive.failures import ConnectionLost
from isoclient.drive.sleepers import TaskSleep, sleep_here
from isoclient.drive.waiting import Deadline
from isoclient.system.locks import make_lock
from isoclient.wire.protocol import Message

__all__ = ["OuterLifespan"]


class OuterLifespan:
    """What there is to know of it, beside the call itself."""

    def __init__(self) -> None:
        self._relays: list[_LifespanRelay] = []  # several clients of one app may run it, one within the other

    def is_run(self) -> bool:
        """Whether somebody runs it."""
        return bool(self._relays)

    async def run(self, copy: AppCopy, scope: Scope, receive: Receive, send: Send, timeout: float | None) -> None:
        """Relay the call by which somebody runs it."""
        relay = _LifespanRelay(copy, scope, receive, send, timeout)
        self._relays.append(relay)
        try:
            await relay.run()
        except Exception as error:
            if not (relay.has_started or copy.is_closing):
                copy.record.startup_fails(error)
            raise
        finally:
            self._relays.remove(relay)
            if not self._relays:
                copy.record.lifespan_ends()

    async def replay(self, copy: AppCopy) -> None:
        """See that this copy of the app has it, if somebody runs it.

        Raises:
            AppStartupError: the app says that its startup has failed.
            BaseException: the app's own.
        """
        for relay in list(self._relays):
            await relay.replay(copy)


class _LifespanRelay(Relay):
    """The call of somebody who runs a lifespan. It outlives the copy of the app that it has begun with.

    Attributes:
        has_started: whether its startup is over.

    To those that follow, the startup is told again, by whoever uses them first; and the shutdown to the last of them.
    """

    def __init__(self, copy: AppCopy, scope: Scope, receive: Receive, send: Send, timeout: float | None) -> None:
        super().__init__(copy, scope, receive, send, timeout)
        self._timeout = timeout
        self._startup: Message | None = None
        self._shutdown: Message | None = None
        self.has_started = False
        self._sleep: TaskSleep | None = None  # of who waits for the shutdown
        self._follower: tuple[AppCopy, Call] | None = None
        self._lock = make_lock()

    # -- the call itself

    async def _relay(self, call: Call) -> None:
        try:
            await self._forward(call)
        except FAILURES as error:
            if not (self.has_started and isinstance(error, ConnectionLost)):
                call.fail(error)
        if self.has_started and _is_cut_off(call):
            await self._outlive(call)
        else:
            await super()._relay(call)

    async def _pass_on(self, call: Call, message: Message) -> None:
        if _is_cut_off(call):
            return  # it answers a shutdown that is ours alone
        state = self._scope.get("state")
        if (packed := call.stream.scope.pop("state", None)) is not None and isinstance(state, MutableMapping):
            state.update(self._codec.unpack_debug(packed))
        await super()._pass_on(call, message)
        if message["type"] == "lifespan.startup.complete":
            self.has_started = True
            self._copy.record.lifespan_begins()
            self._patience.again(counts=False)  # until whoever runs it wants it to end

    async def _tell(self, call: Call, message: Message) -> None:
        if message["type"] == "lifespan.startup":
            self._startup = message
        elif message["type"] == "lifespan.shutdown":
            self._shutdown = message
        if self._sleep is None:
            await super()._tell(call, message)
        else:
            self._sleep.wake()

    async def _outlive(self, call: Call) -> None:
        """The app has died, or was ended here: which is told to others. Its lifespan ends when its owner says so."""
        while self._shutdown is None and "receive" not in self._broken:
            self._sleep = sleep_here()
            self._want(call)
            await self._sleep.sleep(-1, 1.0)
        self._sleep = None
        if self._shutdown is None:
            raise self._broken["receive"]
        if self._follower is not None and self._follower[0].is_usable:
            follower = self._follower[1]
            follower.stream.inbox.clear()  # its startup is not for the other, and the message that it waits for comes
            await self._tell(follower, self._shutdown)
            await super()._relay(follower)
        elif self._copy.handle.is_told:
            await self._send({"type": "lifespan.shutdown.complete"})
        else:
            call.fail(ConnectionLost("the app has died"))

    # -- the copies that follow

    async def replay(self, copy: AppCopy) -> None:
        """See :meth:`OuterLifespan.replay`."""
        if copy is self._copy or not self.has_started or self._startup is None:
            return
        with self._lock:
            if self._follower is None or self._follower[0] is not copy:
                self._follower = copy, call_of(copy, self._scope, (self._startup,))
            call = self._follower[1]
        try:
            if not call.connection.server.ready:
                await until_ready(call)
            await wait(call.connection, lambda: call.ended or _answer(call), Deadline(self._timeout))
        except FAILURES as error:
            call.fail(error)
        answer = _answer(call)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise AppStartupError(f"lifespan startup failed: {answer.get('message', '')}".rstrip(": "))
        copy.record.lifespan_begins()
        if answer is None and (failure := call.failure()) is not None:
            reraise(failure)


def _is_cut_off(call: Call) -> bool:
    return call.connection.lost is not None or call.connection.closing.has_begun


def _answer(call: Call) -> Message | None:
    """What the app has said of its startup; it stays in the inbox."""
    return next(
        (message for message in list(call.stream.inbox) if message["type"].startswith("lifespan.startup.")), None
    )
