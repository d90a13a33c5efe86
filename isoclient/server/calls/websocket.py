"""One WebSocket."""

from __future__ import annotations

from typing import Any, ClassVar

from isoclient.asgi import Message, WebSocketRules
from isoclient.errors import AppProtocolError, ClientDisconnected
from isoclient.server.scope_changes import ScopeNews
from isoclient.server.server import Call, Server, type_of
from isoclient.wire.mux import Stream
from isoclient.wire.protocol import CallKind

__all__ = ["WebSocketCall"]


class WebSocketCall(Call):
    """One WebSocket, from its handshake to its close (ASGI WebSocket 2.5)."""

    kind: ClassVar[CallKind] = "websocket"
    spec_version: ClassVar[str] = "2.5"
    extensions: ClassVar[tuple[str, ...]] = ("websocket.http.response",)

    def __init__(self, server: Server, stream: Stream, argument: Any) -> None:
        super().__init__(server, stream, argument)
        self._rules = WebSocketRules()
        self._closing: Message = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        self._client_closed = False
        self._news: ScopeNews | None = None

    async def call(self) -> object:
        return await self.server.app(self._scope(), self.receive, self.send)

    def delivered(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            # It is the last, and stays in the inbox: the app may ask for it as often as it likes.
            self._client_closed = True
            if not self._rules.complete:  # else the app's own close was first
                self._closing = message
        super().delivered(message)

    @property
    def _has_message(self) -> bool:
        inbox = self.stream.inbox
        return bool(inbox) and inbox[0]["type"] != "websocket.disconnect"

    async def receive(self) -> Message:
        """The next event: connect, the client's messages in order, then disconnect, as often as it is asked for."""
        while True:
            if self._has_message and not self._rules.complete:
                self._owes = True
                return self._take()
            if self._rules.complete or self.client_left:
                self.informed = self.client_left
                return self._closing
            self.server.flush()
            await self._signal.wait()

    async def send(self, message: Message) -> None:
        """Take one message for the client; wait while the client does not read.

        Until the app has seen that the client is gone, all is as if it were not: whether the client was a moment faster
        should make no difference to an app that works on what it has received before.
        """
        if self.informed:
            if type_of(message) == "websocket.close":
                return  # it is closed
            raise ClientDisconnected("the client is gone: it closed the WebSocket")
        try:  # here, and not by a method of all calls, for each message of an app comes by
            message = self._rules.check(message)
        except AppProtocolError:
            if self._is_of_another(message, self._rules):
                return
            raise
        self._owes = False
        if self.client_left:
            await self._let_others_run()  # an app that does nothing but send would keep the loop for itself
            return
        self._tell_of_scope()
        self.server.emit(self.stream, message)
        if self._rules.complete:
            self._closing = {
                "type": "websocket.disconnect",
                "code": message.get("code", 1006),
                "reason": message.get("reason", ""),
            }
            self._signal.set()
        if not self.stream.may_send:
            await self._wait_for_window()

    async def _let_others_run(self) -> None:
        self.server.runtime.call_soon(self._signal.set)
        await self._signal.wait()

    @property
    def client_left(self) -> bool:
        return self.gone or self._client_closed

    @property
    def waits_for_its_own(self) -> bool:
        # Without the connect event, which some apps never take.
        untaken = any(message["type"] == "websocket.receive" for message in self.stream.inbox)
        return super().waits_for_its_own and not untaken and not self._rules.complete

    def unfinished(self) -> str | None:
        return None if self._client_closed else self._rules.unfinished()

    def last_words(self) -> None:
        self._tell_of_scope()

    def _tell_of_scope(self) -> None:
        if self._news is not None and (news := self._news.take()):
            self.server.mux.tell_of_scope(self.stream, news)

    def _scope(self) -> dict[str, Any]:
        if not self.server.codec.by_reference:
            self._news = ScopeNews(self.argument)
        return super()._scope()
