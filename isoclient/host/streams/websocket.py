"""One WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from isoclient.host.rules import Message, WebSocketRules
from isoclient.host.scope import ScopeNews
from isoclient.host.streams.base import Stream, type_of
from isoclient.link.errors import ClientDisconnected

if TYPE_CHECKING:
    from isoclient.host.server import Host

__all__ = ["WebSocketStream"]


class WebSocketStream(Stream):
    """One WebSocket, from its handshake to its close (ASGI WebSocket 2.5)."""

    kind = "websocket"
    extensions: ClassVar[tuple[str, ...]] = ("websocket.http.response",)

    def __init__(self, host: Host, number: int, argument: Any) -> None:
        super().__init__(host, number, argument)
        self._rules = WebSocketRules()
        self._closing: Message = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        self._client_closed = False
        self._news: ScopeNews | None = None
        self._inbox.append({"type": "websocket.connect"})

    async def call(self) -> object:
        return await self.host.app(self._scope(), self.receive, self.send)

    def deliver(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            self._client_closed = True
            if not self._rules.complete:  # else the app's own close was first
                self._closing = message
            self._signal.set()
        else:
            super().deliver(message)

    async def receive(self) -> Message:
        """The next event: connect, the client's messages in order, then disconnect, as often as it is asked for."""
        while True:
            if self._inbox and not self._rules.complete:
                self._owes = True
                return self._take()
            if self._rules.complete or self.client_left:
                self.informed = self.client_left
                return self._closing
            self.host.flush()
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
        checked = self._checked(self._rules, message)
        if checked is None:
            return
        message = checked
        self._owes = False
        if self.client_left:
            await self._let_others_run()  # an app that does nothing but send would keep the loop for itself
            return
        self._tell_of_scope()
        self._emit(message)
        if self._rules.complete:
            self._closing = {
                "type": "websocket.disconnect",
                "code": message.get("code", 1006),
                "reason": message.get("reason", ""),
            }
            self._signal.set()
        if not self._outgoing.is_open:
            await self._wait_for_window()

    async def _let_others_run(self) -> None:
        self.host.runtime.call_soon(self._signal.set)
        await self._signal.wait()

    @property
    def client_left(self) -> bool:
        return self.gone or self._client_closed

    @property
    def waits_for_its_own(self) -> bool:
        untaken = self._inbox and self._inbox[-1]["type"] != "websocket.connect"  # which some apps never take
        return super().waits_for_its_own and not untaken and not self._rules.complete

    def unfinished(self) -> str | None:
        return None if self._client_closed else self._rules.unfinished()

    def last_words(self) -> None:
        self._tell_of_scope()

    def _tell_of_scope(self) -> None:
        if self._news is not None and (news := self._news.take()):
            self.host.tell_of_scope(self.number, news)

    def _scope(self) -> dict[str, Any]:
        if not self.host.codec.by_reference:
            self._news = ScopeNews(self.argument)
        scope = super()._scope()
        scope["extensions"] = {name: {} for name in self.extensions}
        scope["state"] = self.host.state.copy()
        return scope
