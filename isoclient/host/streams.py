"""The streams: one call of the app each, with its ``receive`` and its ``send``.

A stream is driven from two sides. Frames come in (:meth:`Stream.deliver`, :meth:`Stream.cancel`); the app awaits
:meth:`Stream.receive` and :meth:`Stream.send`. Both happen on the event loop, so nothing here needs a lock. What the
two event loops have not in common is behind :class:`~isoclient.host.runtime.Runtime`.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from isoclient.host.leaving import Grace, is_due_to_disconnect
from isoclient.host.rules import HTTPRules, LifespanRules, Message, Rules, WebSocketRules
from isoclient.host.scope import ScopeNews, added_extension
from isoclient.link.credit import ReceiveWindow, SendWindow, weight
from isoclient.link.errors import AppProtocolError, ClientDisconnected, ObjectNotLoadable, ObjectNotSendable

if TYPE_CHECKING:
    from isoclient.host.server import Host

__all__ = [
    "STREAMS",
    "CallStream",
    "HTTPStream",
    "InspectStream",
    "LifespanStream",
    "Stream",
    "WebSocketStream",
]

ASGI: Final = {"http": "2.5", "websocket": "2.5", "lifespan": "2.0"}

_FILE_PIECE: Final = 256 * 1024
_NO_LIFESPAN: Final = (
    "The app raised this at the lifespan scope, before it asked for an event. If that is because it has no lifespan, "
    'say so: TestClient(..., lifespan="off").'
)


class Stream:
    """What all streams have in common: an inbox, two windows, and an end."""

    kind: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, host: Host, number: int, argument: Any) -> None:
        self.host = host
        self.number = number
        self.argument = argument
        self.abort: Callable[[], object] = _nothing
        self.gone = False  # the client waits no more
        self.informed = False  # and the app knows it, by what it received or by its send
        self._owes = True  # the app has something of the client's in its hands that it has not answered
        self._inbox: deque[Message] = deque()
        self._signal = host.runtime.signal()
        self._incoming = ReceiveWindow()
        self._outgoing = SendWindow()

    async def call(self) -> object:
        """Call the app. What it returns or raises is the end of the stream."""
        raise NotImplementedError  # each kind has its own

    def deliver(self, message: Message) -> None:
        """A message for the app has come."""
        self._inbox.append(message)
        self._signal.set()

    def grant(self, amount: int) -> None:
        """The front has consumed, so that more may be sent."""
        self._outgoing.grant(amount)
        self._signal.set()

    def cancel(self, grace: float | None = None) -> None:
        """The client is gone: the app sees a disconnect; if it has not ended after a grace, its task is cancelled."""
        if not self.gone:
            self.gone = True
            self._signal.set()
            Grace(self, self.host.runtime).begin(self.host.grace if grace is None else grace)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.host.is_open(self)

    def abort_if_open(self) -> None:
        """Cancel the app's call, if it still goes on."""
        if self.is_open:
            self.abort()

    @property
    def waits_for_its_own(self) -> bool:
        """Whether the app has answered all there is, and does not receive either."""
        return not (self._owes or self.informed)

    def returned(self, value: object) -> None:
        """The app's call has returned."""
        unfinished = None if self.gone else self.unfinished()
        if unfinished is None:
            self.host.end(self, ("returned", None))
        else:
            self.host.end(self, ("unfinished", unfinished))

    @property
    def client_left(self) -> bool:
        """Whether nobody reads any more what the app sends."""
        return self.gone

    def raised(self, error: BaseException) -> None:
        """The app's call has raised."""
        if self.client_left and is_due_to_disconnect(error):
            self.host.end(self, ("returned", None))
        else:
            self.host.end_raised(self, error)

    def cancelled(self) -> None:
        """The app's call was cancelled, by us."""
        self.host.end(self, ("cancelled", None))

    def unfinished(self) -> str | None:
        """What the app still owed when it returned, in words; None if nothing."""
        return None

    def _checked(self, rules: Rules, message: Message) -> Message | None:
        """A message of the app as the rules have it; None for one of an extension that is not ours, but in the scope.

        Raises:
            AppProtocolError: the rules do not have it.
        """
        try:
            return rules.check(message)
        except AppProtocolError:
            kind = _type_of(message)
            if rules.knows(kind) or added_extension(kind, self.argument, self.extensions) is None:
                raise
            return None

    def last_words(self) -> None:
        """The stream is about to end: what is to go out before that."""

    def _emit(self, message: Message) -> None:
        self._outgoing.spend(weight(message))
        self.host.emit(self.number, message)

    async def _wait_for_window(self) -> None:
        while not self._outgoing.is_open and not self.client_left:
            self.host.flush()
            await self._signal.wait()

    def _take(self) -> Message:
        message = self._inbox.popleft()
        amount = self._incoming.consume(weight(message))
        if amount:
            self.host.grant(self.number, amount)
        return message

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = self.argument  # no copy: in-process, the test sees what the app puts there
        scope["asgi"] = {"version": "3.0", "spec_version": ASGI[self.kind]}
        return scope


class HTTPStream(Stream):
    """One request and its response (ASGI HTTP 2.5)."""

    kind = "http"
    extensions: ClassVar[tuple[str, ...]] = (
        "http.response.debug",
        "http.response.template",
        "http.response.trailers",
        "http.response.pathsend",
        "http.response.early_hint",
    )

    def __init__(self, host: Host, number: int, argument: Any) -> None:
        super().__init__(host, number, argument)
        self._rules = HTTPRules(argument["method"])
        self._cut_off: str | None = None  # what is missing of a response that is complete by the rules

    async def call(self) -> object:
        return await self.host.app(self._scope(), self.receive, self.send)

    def cancel(self, grace: float | None = None) -> None:
        """The client is gone; a response that is complete does not need it any more.

        What the app does then, its background tasks for one, goes on to its end, as at a server. It has a limit only
        where the caller gives one.
        """
        if grace is not None or not self._complete:
            super().cancel(grace)

    @property
    def _complete(self) -> bool:
        return self._rules.complete and self._cut_off is None

    async def receive(self) -> Message:
        """The next event, as ASGI has it: the request's body, then, when there is one, the disconnect."""
        while True:
            if self.gone or self._complete:
                self.informed = self.gone
                return {"type": "http.disconnect"}
            if self._inbox:
                return self._take()
            # The front waits for what was sent so far: with the app waiting too, nothing else would get it out.
            self.host.flush()
            await self._signal.wait()

    async def send(self, message: Message) -> None:
        """Take one message of the response; wait while the client does not read."""
        self._check_client()
        checked = self._checked(self._rules, message)
        if checked is None:
            return
        self._owes = False
        message, kind = checked, checked["type"]
        if kind == "http.response.pathsend":
            await self._send_file(message["path"])
        elif kind == "http.response.debug":
            self._emit_debug(message["info"])
        elif kind == "http.response.template":
            self._emit_debug({"template": message["template"], "context": message["context"]})
        else:
            self._emit(message)
        if self._rules.complete:
            self._signal.set()  # somebody may be waiting in receive() for the disconnect
        elif not self._outgoing.is_open:
            await self._wait_for_window()

    def _emit_debug(self, info: dict[str, Any]) -> None:
        self._emit({"type": "http.response.debug", "info": self.host.codec.pack_debug(info)})

    def _check_client(self) -> None:
        if self.gone:
            self.informed = True
            raise ClientDisconnected("the client is gone: it closed the response before its end")

    @property
    def waits_for_its_own(self) -> bool:
        return super().waits_for_its_own and not self._complete

    async def _send_file(self, path: str) -> None:
        """The file crosses as body events while the app is in its ``send``, for it may remove the file afterwards.

        A relative path is taken from the directory that the app is in now.
        """
        self._cut_off = f"the app returned though its http.response.pathsend of {path!r} had failed"
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._rules.check_file(size)
            left = 0 if self._rules.bodiless else size
            while left > 0 and (piece := file.read(min(left, _FILE_PIECE))):
                left -= len(piece)
                self._emit({"type": "http.response.body", "body": piece, "more_body": True})
                await self._wait_for_window()
                self._check_client()
        self._emit({"type": "http.response.body", "body": b"", "more_body": False})
        self._cut_off = None

    def unfinished(self) -> str | None:
        return self._cut_off or self._rules.unfinished()

    def _scope(self) -> dict[str, Any]:
        scope = super()._scope()
        scope["extensions"] = {name: {} for name in self.extensions}
        scope["state"] = self.host.state.copy()
        return scope


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
            if _type_of(message) == "websocket.close":
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


class LifespanStream(Stream):
    """The app's lifespan (ASGI Lifespan 2.0)."""

    kind = "lifespan"

    def __init__(self, host: Host, number: int, argument: Any) -> None:
        super().__init__(host, number, {"type": "lifespan"})
        self._rules = LifespanRules()
        self._required = argument == "on"
        self._foreign = False  # the app has answered with a message of another protocol
        self._knows = False  # the app has asked for the startup event, or has answered it, so it knows of lifespan
        self._outermost = sys.exception()  # what the test itself may be handling, in whose stack a fork runs
        self._breach: tuple[BaseException, BaseException | None] | None = None
        self._inbox.append({"type": "lifespan.startup"})

    async def call(self) -> object:
        self.host.state = {}
        scope = self._scope()
        scope["state"] = self.host.state
        return await self.host.app(scope, self.receive, self.send)

    async def receive(self) -> Message:
        """First the startup event, then, when the client is left, the shutdown event."""
        if self._rules.complete:
            # It waits for what will never come, as in the endless loop of the specification's own example.
            self.gone = True
            self.abort()
        while not self._inbox:
            if self.gone and not self._rules.complete:
                return {"type": "lifespan.shutdown"}
            self.host.flush()
            await self._signal.wait()
        message = self._take()
        self._knows = True
        self._rules.delivered(message["type"])
        return message

    async def send(self, message: Message) -> None:
        """Take what the app says of its startup and shutdown."""
        handled = sys.exception()
        try:
            self._emit(self._rules.check(message))
        except AppProtocolError as breach:
            self._foreign = not _type_of(message).startswith("lifespan.")
            self._breach = breach, None if handled is self._outermost else handled
            raise
        self._knows = True

    def unfinished(self) -> str | None:
        # An app without lifespan may return at once, and one with it, when it has nothing to shut down.
        return self._rules.unfinished() if self._required and not self._rules.started else None

    def raised(self, error: BaseException) -> None:
        """Tell an app without lifespan from one whose startup failed.

        The specification lets a server go on after any exception here. But a test client that goes on after a failed
        startup hides the failure. So it counts as "no lifespan" only where the app refused the scope before it asked
        for an event, or answered with messages of another protocol.
        """
        if self._required or self._rules.started or not isinstance(error, Exception):
            super().raised(self._own(error))
        elif self._foreign and (isinstance(error, AppProtocolError) or not self._knows):
            self.host.end(self, ("unsupported", None))
        elif self._knows:
            super().raised(self._own(error))
        else:
            self._raised_at_once(error)

    def _raised_at_once(self, error: Exception) -> None:
        from isoclient.host.refusal import is_refusal

        if is_refusal(error):
            self.host.end(self, ("unsupported", None))
        else:
            error.add_note(_NO_LIFESPAN)
            super().raised(self._own(error))

    def _own(self, error: BaseException) -> BaseException:
        """The app's own exception, where it broke the rules while it handled that one: it says what is the matter."""
        breach, handled = self._breach or (None, None)
        if error is not breach or not isinstance(handled, Exception):
            return error
        handled.add_note(f"While the app handled this, it broke the rules of ASGI, too: {error}")
        return handled


class CallStream(Stream):
    """``client.call``: a function called on the app's loop."""

    kind = "call"
    _trusted = False  # whether the test lets the result run any code there

    async def call(self) -> object:
        packed, self._trusted = self.argument
        try:
            func, args, kwargs = self.host.codec.unpack_object(packed, self.host.live)
        except ObjectNotLoadable as error:
            raise error.with_traceback(None) from error.__cause__  # its frames are ours alone
        result = func(*args, **kwargs)
        return await result if hasattr(type(result), "__await__") else result

    def returned(self, value: object) -> None:
        try:
            pack = self.host.codec.pack_object if self._trusted else self.host.codec.pack_result
            packed = pack(value, self.host.live)
        except ObjectNotSendable as error:
            self.raised(error.with_traceback(None))
        except Exception as error:
            self.raised(error)
        else:
            self.host.end(self, ("returned", packed))


class StateStream(Stream):
    """``client.app_state``: what the lifespan has put into the state."""

    kind = "state"

    async def call(self) -> object:
        return self.host.codec.pack_debug(self.host.state)

    def returned(self, value: object) -> None:
        self.host.end(self, ("returned", value))


class InspectStream(Stream):
    """What the tasks on the loop are doing, as text; also the proof that the loop is not stuck."""

    kind = "inspect"

    async def call(self) -> object:
        return self.host.runtime.describe_tasks()

    def returned(self, value: object) -> None:
        self.host.end(self, ("returned", value))


class PingStream(InspectStream):
    """That proof alone."""

    kind = "ping"

    async def call(self) -> object:
        return None


STREAMS: Final[Mapping[str, type[Stream]]] = {
    kind.kind: kind
    for kind in (HTTPStream, WebSocketStream, LifespanStream, CallStream, StateStream, InspectStream, PingStream)
}


def _type_of(message: object) -> str:
    kind = message.get("type") if isinstance(message, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _nothing() -> None:
    pass
