"""A call of the app that somebody else makes, a server or a client of any kind, in the test's process.

Nothing is made up on the way: the scope is as it was sent, and so are the messages, both ways. Which message comes
next, and when, is for the other's ``receive`` to say, which is therefore called as often as the app calls its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from isoclient.asgi import HTTPRules, LifespanRules, Message, Rules, WebSocketRules
from isoclient.errors import AppProtocolError, ClientDisconnected
from isoclient.server.scope_changes import ScopeNews, added_extension
from isoclient.server.server import Call, Server, type_of
from isoclient.wire.mux import Stream
from isoclient.wire.protocol import BROKEN, PACKED, WANTED, CallKind, Returned

__all__ = ["RelayedCall", "RelayedLifespan"]

_DISCONNECT: Final[Mapping[str, Message]] = {
    "http": {"type": "http.disconnect"},
    "websocket": {"type": "websocket.disconnect", "code": 1006, "reason": ""},
    "lifespan": {"type": "lifespan.shutdown"},
}
"""What the app gets when whoever has made the call waits for it no more."""


def _rules(scope: Mapping[str, Any]) -> Rules | None:
    kind = scope.get("type")
    if kind == "http":
        return HTTPRules(scope.get("method", "GET"))
    if kind == "websocket":
        return WebSocketRules()
    return LifespanRules() if kind == "lifespan" else None


class RelayedCall(Call):
    """A call with a scope of any type."""

    kind: ClassVar[CallKind] = "relayed"

    def __init__(self, server: Server, stream: Stream, argument: Any) -> None:
        scope, self._packed = argument
        super().__init__(server, stream, scope)
        self.name = self._type = type_of(scope)
        self._rules = _rules(scope)
        self._may_ask = True  # for a message; not while it waits for the last one that it has asked for
        self._body_ended = False
        self._left = False  # the app has been told that the client is gone, by whoever has made the call
        self._broken: Any = None  # what the other's send has raised, packed
        self._given: dict[str, BaseException] = {}  # what the app was given to raise, by the function that raised it
        self._news: ScopeNews | None = None

    async def call(self) -> object:
        scope = self._scope()
        if self._type == "websocket":
            self._news = ScopeNews(scope)
        return await self.server.app(scope, self.receive, self.send)

    def _scope(self) -> dict[str, Any]:
        """The scope as it was sent; of the state, what the lifespan has put there."""
        scope: dict[str, Any] = self.argument
        if self._packed is not None:
            scope |= self.server.codec.unpack_object(self._packed, self.server.live)
        state = scope.get("state")
        if self.server.state:
            scope["state"] = {**state, **self.server.state} if isinstance(state, dict) else self.server.state.copy()
        return scope

    # -- receiving

    def delivered(self, message: Message) -> None:
        if message.get("type") == BROKEN and message["by"] == "send":
            self._broken = message["error"]
        else:
            self._may_ask = True
        super().delivered(message)

    async def receive(self) -> Message:
        """The next message of the other's ``receive``, which is asked for it."""
        while True:
            while self.stream.inbox:
                message = self._take()
                if message.get("type") != BROKEN:
                    return self._received(message)
                if message["by"] == "receive":
                    raise self._error(message)
            if self.gone:
                self.informed = True
                return self._disconnect()
            if self._body_ended and self._is_complete:
                return {"type": "http.disconnect"}  # which is all that can come, and need not be waited for
            if self._may_ask:
                self._may_ask = False
                self._emit({"type": WANTED})
            self.server.flush()
            await self._signal.wait()

    def _received(self, message: Message) -> Message:
        self._owes = True
        kind = message.get("type")
        if kind == "http.request":
            self._body_ended = not message.get("more_body", False)
        elif kind in ("http.disconnect", "websocket.disconnect"):
            self._left = True
        elif isinstance(self._rules, LifespanRules):
            with contextlib.suppress(ValueError):  # out of turn, which is for whoever has sent it to know
                self._rules.delivered(str(kind))
        return message

    def _disconnect(self) -> Message:
        return dict(_DISCONNECT.get(self._type, {"type": f"{self._type}.disconnect"}))

    def _error(self, message: Message) -> BaseException:
        error = self.server.codec.unpack_exception(message["error"])
        self._given[message["by"]] = error
        return error

    @property
    def _is_complete(self) -> bool:
        return self._rules is not None and self._rules.complete

    # -- sending

    async def send(self, message: Message) -> None:
        """Take one message for the other's ``send``; wait while that does not keep up."""
        if self._broken is not None:
            raise self._error({"by": "send", "error": self._broken})
        if self.gone:
            self._refuse(message)
        if self._rules is not None:
            self._check(message, self._rules)
        self._owes = False
        if self._news is not None and (news := self._news.take()):
            self.server.mux.tell_of_scope(self.stream, news)
        self._emit_any(message)
        if self._is_complete:
            self._signal.set()  # somebody may be waiting in receive() for the disconnect
        elif not self.stream.may_send:
            await self._wait_for_window()

    def _check(self, message: Message, rules: Rules) -> None:
        """Hold the app to the rules; but those of an extension are for whoever has put that into the scope."""
        try:
            rules.check(message)
        except AppProtocolError:
            if added_extension(type_of(message), self.argument, ()) is None:
                raise

    def _refuse(self, message: Message) -> None:
        if self._type == "lifespan":
            return
        self.informed = True
        if type_of(message) != "websocket.close":
            raise ClientDisconnected("the client is gone: whoever has called the app waits for it no more")

    def _emit_any(self, message: Message) -> None:
        try:
            self._emit(message if type(message) is dict else dict(message))
        except TypeError:  # something in it is no plain value, as in what an app tells for debugging
            self._emit({"type": type_of(message), PACKED: self.server.codec.pack_debug(message)})

    # -- the end

    def raised(self, error: BaseException) -> None:
        """The app has raised; where that is what the other raised, it is told so, and not sent back."""
        for by, given in self._given.items():
            if error is given:
                self.server.end(self, Returned(by))
                return
        super().raised(error)

    def unfinished(self) -> str | None:
        if self._rules is None or self._type == "lifespan" or self._broken is not None or self._left:
            return None
        return self._rules.unfinished()

    def last_words(self) -> None:
        if self._news is not None and (news := self._news.take()):
            self.server.mux.tell_of_scope(self.stream, news)


class RelayedLifespan(RelayedCall):
    """The same for the lifespan, which is ended last: by its name, whoever ends calls knows it."""

    kind: ClassVar[CallKind] = "relayed-lifespan"

    def _scope(self) -> dict[str, Any]:
        """The scope as it was sent; what the app puts into its state is that of all calls, until this one ends."""
        self._state_before = self.server.state
        self.server.state = {}
        scope = super()._scope()
        state = scope.get("state")
        self._state = self.server.state = state if isinstance(state, dict) else {}
        return scope

    async def send(self, message: Message) -> None:
        """The same; and when it has started, whoever runs it sees in the state of the scope what is there now."""
        has_started = type_of(message) == "lifespan.startup.complete"
        if has_started:
            self.server.startup_is_over()
        if has_started and self._state:
            self.server.mux.tell_of_scope(self.stream, {"state": self.server.codec.pack_debug(self._state)})
        await super().send(message)

    def last_words(self) -> None:
        super().last_words()
        if self.server.state is self._state:  # else somebody runs another lifespan, which has begun since
            self.server.state = self._state_before
