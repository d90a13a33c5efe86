"""The lifespan of the app."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, ClassVar, Final

from isoclient.asgi import LifespanRules, Message
from isoclient.errors import AppProtocolError
from isoclient.server.server import Call, Server, type_of
from isoclient.transit.anatomy import is_a
from isoclient.wire.mux import Stream
from isoclient.wire.protocol import CallKind, Unsupported

__all__ = ["LifespanCall"]

_NO_LIFESPAN: Final = (
    "The app raised this at the lifespan scope, before it asked for an event. If that is because it has no lifespan, "
    'say so: TestClient(..., lifespan="off").'
)


class LifespanCall(Call):
    """The app's lifespan (ASGI Lifespan 2.0)."""

    kind: ClassVar[CallKind] = "lifespan"
    spec_version: ClassVar[str] = "2.0"

    def __init__(self, server: Server, stream: Stream, argument: Any) -> None:
        super().__init__(server, stream, argument)
        self._rules = LifespanRules()
        self._required = argument == "on"
        self._foreign = False  # the app has answered with a message of another protocol
        self._knows = False  # the app has asked for the startup event, or has answered it, so it knows of lifespan
        self._outermost = sys.exception()  # what the test itself may be handling, in whose stack a fork runs
        self._breach: tuple[BaseException, BaseException | None] | None = None

    async def call(self) -> object:
        self.server.state = {}
        return await self.server.app(self._scope(), self.receive, self.send)

    def _scope(self) -> dict[str, Any]:
        asgi = {"version": "3.0", "spec_version": self.spec_version}
        return {"type": "lifespan", "asgi": asgi, "state": self.server.state}

    async def receive(self) -> Message:
        """First the startup event, then, when the client is left, the shutdown event."""
        if self._rules.complete:
            # It waits for what will never come, as in the endless loop of the specification's own example.
            self.gone = True
            self.abort()
        while not self.stream.inbox:
            if self.gone and not self._rules.complete:
                return {"type": "lifespan.shutdown"}
            self.server.flush()
            await self._signal.wait()
        message = self._take()
        self._knows = True
        self._rules.delivered(message["type"])
        return message

    async def send(self, message: Message) -> None:
        """Take what the app says of its startup and shutdown."""
        handled = sys.exception()
        try:
            checked = self._rules.check(message)
            if checked["type"] == "lifespan.startup.complete":
                self.server.startup_is_over()
            self._emit(checked)
        except AppProtocolError as breach:
            self._foreign = not type_of(message).startswith("lifespan.")
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
        if self._required or self._rules.started or not is_a(error, Exception):
            super().raised(self._own(error))
        elif self._foreign and (is_a(error, AppProtocolError) or not self._knows):
            self.server.end(self, Unsupported())
        elif self._knows:
            super().raised(self._own(error))
        else:
            self._raised_at_once(error)

    def _raised_at_once(self, error: BaseException) -> None:
        from isoclient.server.refusal import is_refusal

        refuses = False
        with contextlib.suppress(Exception):  # of the exception's own, when it is looked at
            refuses = is_refusal(error)
        if refuses:
            self.server.end(self, Unsupported())
        else:
            with contextlib.suppress(Exception):
                error.add_note(_NO_LIFESPAN)
            super().raised(self._own(error))

    def _own(self, error: BaseException) -> BaseException:
        """The app's own exception, where it broke the rules while it handled that one: it says what is the matter."""
        breach, handled = self._breach or (None, None)
        if error is not breach or not isinstance(handled, Exception):
            return error
        handled.add_note(f"While the app handled this, it broke the rules of ASGI, too: {error}")
        return handled
