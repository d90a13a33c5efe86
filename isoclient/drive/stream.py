"""One stream as the test's side uses it: one call of the app, waited for by threads that block."""

from __future__ import annotations

from typing import Any

from isoclient.drive.connection import Connection
from isoclient.drive.deadline import Deadline
from isoclient.wire.mux import Stream
from isoclient.wire.protocol import Message, Outcome

__all__ = ["BlockingStream"]


class BlockingStream:
    """The waiting for a stream, which itself is a :class:`isoclient.wire.mux.Stream`.

    Args:
        connection: what it is a stream of.
        wire: the stream, just begun.
    """

    __slots__ = ("_connection", "wire")

    def __init__(self, connection: Connection, wire: Stream) -> None:
        self.wire = wire
        self._connection = connection

    @property
    def outcome(self) -> Outcome | None:
        """How it has ended, if it has; there may be messages to be received still."""
        return self.wire.outcome

    @property
    def scope(self) -> dict[str, Any]:
        """What the app has put into its scope, where that is not ours."""
        return self.wire.scope

    def receive(self, deadline: Deadline) -> Message | None:
        """The next message of the app, or None when there is none any more and :attr:`outcome` is set.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :meth:`Connection.wait` does.
        """
        wire = self.wire
        while True:
            if not wire.inbox and wire.outcome is None:
                self._connection.wait(self._has_news, deadline)
            has_ended = wire.outcome is not None  # first: what had come before the end is in the inbox then
            with self._connection.receiving:
                if wire.inbox:
                    message = wire.receive()
                    has_granted = self._grant()
                    break
                if has_ended:
                    return None
                # Another thread, which receives on the same stream, was faster.
        if has_granted:
            self._connection.flush(deadline)
        return message

    def receive_all(self, deadline: Deadline) -> list[Message]:
        """All messages that are there, at least one; none when there will be none any more.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :meth:`Connection.wait` does.
        """
        wire = self.wire
        messages: list[Message] = []
        has_ended = False
        while not (messages or has_ended):
            if not wire.inbox and wire.outcome is None:
                self._connection.wait(self._has_news, deadline)
            has_ended = wire.outcome is not None  # first: what had come before the end is in the inbox then
            with self._connection.receiving:
                while wire.inbox:
                    messages.append(wire.receive())
                has_granted = self._grant()
            if has_granted:
                self._connection.flush(deadline)
        return messages

    def _grant(self) -> bool:
        """Whether there was enough to be granted, which is to be written then."""
        if not self.wire.owes_credit:
            return False
        self._connection.mux.grant(self.wire)
        return True

    def _has_news(self) -> bool:
        return bool(self.wire.inbox) or self.wire.outcome is not None

    def may_send(self, deadline: Deadline) -> bool:
        """Wait until a message may be sent, or would be dropped; False if the app itself waits for room first.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :meth:`Connection.wait` does.
        """
        if not self._is_writable():
            self._connection.wait(lambda: self._is_writable() or self.wire.has_unreceived, deadline)
        return self._is_writable()

    def make_room(self, deadline: Deadline) -> None:
        """Let the app send on, though nobody has received what it sent: it may have to, before it receives."""
        with self._connection.receiving:
            self.wire.count_as_received()
            has_granted = self._grant()
        if has_granted:
            self._connection.flush(deadline)

    def _is_writable(self) -> bool:
        return self.wire.may_send or self.wire.outcome is not None

    def send(self, message: Message, deadline: Deadline, *, hold: bool = False) -> bool:
        """Send a message to the app; False if the app's call has ended, so that nobody reads it.

        With ``hold``, it only goes out along with what is sent next.

        Raises:
            DeadlineExceeded: the pipe stayed full. The message stays in order before the next one.
        """
        if self.wire.outcome is not None:
            return False
        self._connection.begin_sending()
        self._connection.mux.send(self.wire, message)
        if not hold:
            self._connection.flush(deadline)
        return True

    def wait_end(self, deadline: Deadline) -> Outcome:
        """Drop what the app still sends, until its call has ended."""
        while self.wire.outcome is None or self.wire.inbox:
            self.receive(deadline)
        return self.wire.outcome

    def cancel(self, deadline: Deadline, grace: float | None = None) -> None:
        """Nobody waits any more: the app sees a disconnect, and is cancelled if it does not end then.

        Args:
            deadline: for the pipe to take it.
            grace: how long, in seconds, the app may go on before it is cancelled; None for what is usual.
        """
        if self.wire.outcome is None and self._connection.lost is None:
            self._connection.mux.cancel(self.wire, grace)
            self._connection.flush(deadline)

    def abandon(self, grace: float | None = None) -> None:
        """The same without any waiting, now or with what is sent next; and what still comes is dropped."""
        if self.wire.outcome is None and self._connection.lost is None:
            self._connection.mux.cancel(self.wire, grace)
            self._connection.try_flush()
        self._connection.mux.forget(self.wire)
