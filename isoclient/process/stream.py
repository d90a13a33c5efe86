"""One stream as the test's side sees it: one call of the app, under way or ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from isoclient.link.system import threading
from isoclient.process.deadline import Deadline
from isoclient.wire import frames
from isoclient.wire.credit import ReceiveWindow, SendWindow, weight
from isoclient.wire.frames import Frame
from isoclient.wire.protocol import LinkError

if TYPE_CHECKING:
    from isoclient.process.connection import Connection

__all__ = ["Stream"]


class Stream:
    """A queue of messages from the app, which ends with an outcome."""

    __slots__ = (
        "_connection",
        "_granted",
        "_inbox",
        "_incoming",
        "_lock",
        "_outgoing",
        "lasts",
        "number",
        "outcome",
        "scope",
    )

    def __init__(self, connection: Connection, number: int, *, lasts: bool = False) -> None:
        self.number = number
        self.lasts = lasts  # until the app ends, whoever closes the connection
        self.outcome: tuple[str, Any] | None = None
        self.scope: dict[str, Any] = {}  # what the app has put into its scope, where that is not ours
        self._connection = connection
        self._inbox: deque[dict[str, Any]] = deque()
        self._granted = 0  # how many messages in the inbox, from its head, have been granted credit for already
        self._lock = threading.Lock()  # for the two above, where one thread sends and another receives
        self._incoming = ReceiveWindow()
        self._outgoing = SendWindow()

    def be_forked(self) -> None:
        """In a fork: a thread that holds the lock is not there."""
        self._lock = threading.Lock()  # each request has one, so that these are not kept book of

    def take(self, frame: Frame) -> None:
        """A frame has come for this stream. Called by whichever thread reads."""
        try:
            value = self._connection.codec.decode(frame.meta, frame.payload)
        except LinkError as error:
            self.outcome = ("damaged", error)
            return
        if frame.kind == frames.EVENT:
            self._inbox.append(value)
        elif frame.kind == frames.END:
            self.outcome = value
            if value[0] == "exited" and not self._connection.codec.by_reference:
                self._connection.exiting = True
        elif frame.kind == frames.SCOPE:
            self.scope = {**self.scope, **value}
        elif frame.kind == frames.CREDIT:
            self._outgoing.grant(value)

    def receive(self, deadline: Deadline) -> dict[str, Any] | None:
        """The next message of the app, or None when there is none any more and :attr:`outcome` is set.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :meth:`Connection.wait` does.
        """
        while True:
            if not self._inbox and self.outcome is None:
                self._connection.wait(self._has_news, deadline)
            with self._lock:
                if self._inbox:
                    message = self._inbox.popleft()
                    amount = self._consume(message)
                    break
                if self.outcome is not None:
                    return None
                # Another thread, which receives on the same stream, was faster.
        self._grant(amount, deadline)
        return message

    def receive_all(self, deadline: Deadline) -> list[dict[str, Any]]:
        """All messages that are there, at least one; none when there will be none any more.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :meth:`Connection.wait` does.
        """
        while True:
            if not self._inbox and self.outcome is None:
                self._connection.wait(self._has_news, deadline)
            messages = []
            amount = 0
            with self._lock:
                while self._inbox:
                    message = self._inbox.popleft()
                    amount += self._consume(message)
                    messages.append(message)
            if messages or self.outcome is not None:
                break
        self._grant(amount, deadline)
        return messages

    def _consume(self, message: dict[str, Any]) -> int:
        if self._granted:
            self._granted -= 1
            return 0
        return self._incoming.consume(weight(message))

    def _grant(self, amount: int, deadline: Deadline) -> None:
        if amount and self.outcome is None:
            self._connection.write(frames.CREDIT, self.number, amount, deadline)

    def _has_news(self) -> bool:
        return bool(self._inbox) or self.outcome is not None

    @property
    def has_message(self) -> bool:
        """Whether :meth:`receive` has a message without waiting."""
        return bool(self._inbox)

    def spend(self, messages: Iterable[dict[str, Any]]) -> None:
        """These go out with the frame that opens the stream."""
        for message in messages:
            self._outgoing.spend(weight(message))

    def may_send(self, deadline: Deadline) -> bool:
        """Wait until a message may be sent, or would be dropped; False if the app itself waits for room first.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :meth:`Connection.wait` does.
        """
        if not self._is_writable():
            self._connection.wait(lambda: self._is_writable() or self._granted < len(self._inbox), deadline)
        return self._is_writable()

    def make_room(self, deadline: Deadline) -> None:
        """Let the app send on, though nobody has received what it sent: it may have to, before it receives."""
        amount = 0
        with self._lock:
            # A copy, for the thread that reads may add to the inbox at any moment.
            fresh = list(self._inbox)[self._granted :]
            for message in fresh:
                amount += self._incoming.consume(weight(message))
            self._granted += len(fresh)
        self._grant(amount, deadline)

    def _is_writable(self) -> bool:
        return self._outgoing.is_open or self.outcome is not None

    def send(self, message: dict[str, Any], deadline: Deadline, *, hold: bool = False) -> bool:
        """Send a message to the app; False if the app's call has ended, so that nobody reads it.

        With ``hold``, it only goes out along with what is sent next.

        Raises:
            DeadlineExceeded: the pipe stayed full.
        """
        if self.outcome is not None:
            return False
        self._outgoing.spend(weight(message))
        self._connection.tell_news(deadline)
        self._connection.write(frames.EVENT, self.number, message, deadline, hold=hold)
        return True

    def wait_end(self, deadline: Deadline) -> tuple[str, Any]:
        """Drop what the app still sends, until its call has ended."""
        while self.receive(deadline) is not None:
            pass
        assert self.outcome is not None
        return self.outcome

    def cancel(self, deadline: Deadline, grace: float | None = None) -> None:
        """Nobody waits any more: the app sees a disconnect, and is cancelled if it does not end then.

        Args:
            deadline: for the pipe to take it.
            grace: how long, in seconds, the app may go on before it is cancelled; None for what is usual.
        """
        if self.outcome is None and self._connection.lost is None:
            self._connection.write(frames.CANCEL, self.number, grace, deadline)

    def abandon(self, grace: float | None = None) -> None:
        """The same without any waiting, and what still comes is dropped."""
        if self.outcome is None and self._connection.lost is None:
            self._connection.cancel_soon(self.number, grace)
        self._connection.forget(self)
