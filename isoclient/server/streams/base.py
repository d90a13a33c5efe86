"""What all streams have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from isoclient.asgi import Message, Rules
from isoclient.errors import AppProtocolError
from isoclient.server.leaving import Grace, is_due_to_disconnect
from isoclient.server.scope_changes import added_extension
from isoclient.wire import mux
from isoclient.wire.protocol import Cancelled, Returned, StreamKind, Unfinished

if TYPE_CHECKING:
    from isoclient.server.server import Server

__all__ = ["Stream", "type_of"]

ASGI: Final = {"http": "2.5", "websocket": "2.5", "lifespan": "2.0"}


class Stream:
    """One call of the app, which a stream of the wire is about: how the app is called, and what its end means.

    Args:
        server: the server.
        wire: the stream.
        argument: what it was opened with.
    """

    kind: ClassVar[StreamKind]
    extensions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, server: Server, wire: mux.Stream, argument: Any) -> None:
        self.server = server
        self.wire = wire
        self.number = wire.number
        self.argument = argument
        self.abort: Callable[[], object] = _nothing
        self.gone = False  # the client waits no more
        self.informed = False  # and the app knows it, by what it received or by its send
        self._owes = True  # the app has something of the client's in its hands that it has not answered
        self._signal = server.runtime.signal()

    async def call(self) -> object:
        """Call the app. What it returns or raises is the end of the stream."""
        raise NotImplementedError  # each kind has its own

    def delivered(self, message: Message) -> None:
        """A message for the app has come, and is in the inbox."""
        self._signal.set()

    def granted(self) -> None:
        """The client has consumed, so that more may be sent."""
        self._signal.set()

    def cancel(self, grace: float | None = None) -> None:
        """The client is gone: the app sees a disconnect; if it has not ended after a grace, its task is cancelled."""
        if not self.gone:
            self.gone = True
            self._signal.set()
            Grace(self, self.server.runtime).begin(self.server.grace if grace is None else grace)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.server.is_open(self)

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
            self.server.end(self, Returned())
        else:
            self.server.end(self, Unfinished(unfinished))

    @property
    def client_left(self) -> bool:
        """Whether nobody reads any more what the app sends."""
        return self.gone

    def raised(self, error: BaseException) -> None:
        """The app's call has raised."""
        if self.client_left and is_due_to_disconnect(error):
            self.server.end(self, Returned())
        else:
            self.server.end_raised(self, error)

    def cancelled(self) -> None:
        """The app's call was cancelled, by us."""
        self.server.end(self, Cancelled())

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
            kind = type_of(message)
            if rules.knows(kind) or added_extension(kind, self.argument, self.extensions) is None:
                raise
            return None

    def last_words(self) -> None:
        """The stream is about to end: what is to go out before that."""

    def _emit(self, message: Message) -> None:
        self.server.emit(self.wire, message)

    async def _wait_for_window(self) -> None:
        while not self.wire.may_send and not self.client_left:
            self.server.flush()
            await self._signal.wait()

    def _take(self) -> Message:
        message = self.wire.receive()
        if self.wire.owes_credit:
            self.server.grant(self.wire)
        return message

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = self.argument  # no copy: in-process, the test sees what the app puts there
        scope["asgi"] = {"version": "3.0", "spec_version": ASGI[self.kind]}
        return scope


def type_of(message: object) -> str:
    """The type of a message that may be anything; empty if it has none."""
    kind = message.get("type") if isinstance(message, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _nothing() -> None:
    pass
