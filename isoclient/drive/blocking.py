"""The test's end of the pipe, for threads that block: the waiting for a connection, and for a stream of it.

There is no thread behind it. A thread that waits for something reads the socket itself. Where several wait, one of them
leads: it reads, hands the others their frames, and when it has what it waited for, wakes one of them to lead on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from isoclient.drive.connection import WRITING, Connection
from isoclient.drive.failures import ConnectionLost, CutOff, DeadlineExceeded, NotReady, Reentered
from isoclient.drive.waiting import Deadline, place_to_park
from isoclient.system.modules import select, threading
from isoclient.wire.protocol import CallSpec, Message, Outcome

__all__ = ["BlockingStream", "discard_until", "flush", "read_until_lost", "wait"]

_IN: Final = select.POLLIN
_OUT: Final = select.POLLOUT


def wait(connection: Connection, ready: Callable[[], object], deadline: Deadline) -> None:
    """Read until ``ready()`` is true.

    Raises:
        ConnectionLost: the other side has ended before that, or another thread is closing the connection.
        NotReady: the app could not be loaded.
        DeadlineExceeded: it was not in time.
    """
    try:
        while not connection.lead.take():
            if ready():
                return
            connection.check()
            _follow(connection, ready, deadline)
        _lead_on(connection, ready, deadline)
    except (ConnectionLost, DeadlineExceeded, NotReady, Reentered):
        raise
    except BaseException:
        connection.interrupted = True
        raise
    finally:
        # Whoever has led hands that on; and whoever has not may have been woken to lead.
        if connection.waiters.parked and not connection.lead.is_taken:
            connection.waiters.wake_one()


def _lead_on(connection: Connection, ready: Callable[[], object], deadline: Deadline) -> None:
    try:
        connection.lead.reader = threading.get_ident()
        while True:
            while connection.terminal is not None and connection.terminal.is_lent and connection.lost is None:
                # Nobody goes on while somebody types there, also where what was waited for has come meanwhile.
                _read(connection, deadline)
            if ready():
                return
            connection.check()
            _read(connection, deadline)
    except BaseException:
        connection.take_terminal_back()  # Ctrl-C, or a time limit on the test
        raise
    finally:
        connection.lead.reader = 0
        connection.lead.give_back()
        if connection.closing.unused:
            connection.close_unused()


def _follow(connection: Connection, ready: Callable[[], object], deadline: Deadline) -> None:
    if connection.lead.is_ours:
        raise Reentered("this thread is already waiting for the app, further down its stack")
    waiter = place_to_park()
    try:
        connection.waiters.add(ready, waiter)
        # The leader may have stopped between our attempt to lead and our entry: then nobody would wake us.
        if connection.is_dismissed:
            return  # by who has not seen our entry
        if connection.lead.take():
            connection.lead.give_back()
        # Whoever is to wake us may be interrupted before that.
        elif not waiter.acquire(timeout=deadline.moment() / 1000):
            deadline.check()
    finally:
        connection.waiters.remove(waiter)


def _read(connection: Connection, deadline: Deadline) -> None:
    ready = connection.incoming.poll(deadline.moment(connection.pace))
    if not ready:
        connection.meanwhile()
        deadline.check()
        return
    if ready[0][0] == connection.watched or ready[-1][0] == connection.watched:  # one or both of two
        connection.drain()
    else:
        connection.read_some()
    if connection.waiters.parked or connection.waiters.tasks:
        connection.waiters.wake_ready()


def flush(connection: Connection, deadline: Deadline) -> None:
    """Write what is in the outbox. While the pipe is full, what comes in is read: the other side may wait for it.

    A failure of the other side is no error here: it shows at the next :func:`wait`, after what it still had to say.

    Raises:
        ConnectionLost: another thread is closing the connection.
        DeadlineExceeded: the pipe stayed full. What is left goes out, whole and in order, with what is sent next.
    """
    this_thread = threading.get_ident()
    if connection.writer == this_thread:
        raise Reentered(WRITING)
    try:
        if not connection.write_lock.acquire(blocking=False):
            while not connection.write_lock.acquire(timeout=deadline.lock_timeout()):
                deadline.check()
        connection.writer = this_thread
        if connection.closing.has_begun:
            connection.closing.check()
        while not connection.write_some():
            _wait_writable(connection, deadline)
            connection.closing.check()
    except (ConnectionLost, DeadlineExceeded):
        raise
    except BaseException as error:
        if connection.writer == this_thread:
            connection.lose(CutOff(repr(error)))  # out of a signal handler, and how much has been written nobody knows
        raise
    finally:
        # What a signal handler raises may have come before the lock was taken, or right after; and before a call.
        if connection.writer == this_thread:
            connection.writer = 0
        try:  # noqa: SIM105
            connection.write_lock.release()
        except RuntimeError:  # it had not been taken
            pass
        if connection.closing.unused:
            connection.close_unused()
    if connection.mux.outbox.parts:  # put there meanwhile by a finalizer, or by a thread that may not wait
        connection.try_flush()


def _wait_writable(connection: Connection, deadline: Deadline) -> None:
    leads = connection.lead.take()
    try:
        if leads:
            connection.lead.reader = threading.get_ident()
        poll = select.poll()
        poll.register(connection.sock, _OUT | _IN if leads else _OUT)
        if connection.watched >= 0:
            poll.register(connection.watched, _IN)
        found = dict(poll.poll(deadline.moment()))
        if not found:
            connection.meanwhile()
            deadline.check()
        if connection.watched in found:
            connection.mux.outbox.clear()
        if leads and found.get(connection.sock.fileno(), 0) & ~_OUT:
            connection.read_some()
            connection.waiters.wake_ready()
    finally:
        if leads:
            connection.lead.reader = 0
            connection.lead.give_back()
            connection.waiters.wake_one()


def discard_until(connection: Connection, descriptor: int | None, seconds: float) -> bool:
    """Wait for this descriptor, and read meanwhile, so that the other side is not held up by a full pipe.

    Returns:
        Whether it is ready, or without a descriptor, something has been read; False after the time, and now and
        then before.
    """
    token = object()
    connection.meanwhile()
    try:
        connection.closing.watchers.add(token)
        # Another thread may have closed it since the caller looked.
        is_closed = descriptor not in (None, connection.watched)
        return is_closed or _discard_until(connection, descriptor, Deadline(seconds).moment())
    finally:
        connection.end_watch(token)


def _discard_until(connection: Connection, descriptor: int | None, milliseconds: int) -> bool:
    poll = select.poll()
    if descriptor is not None:
        poll.register(descriptor, _IN)
    if connection.lost is not None or not connection.lead.take():
        return bool(poll.poll(milliseconds))
    try:
        connection.lead.reader = threading.get_ident()
        poll.register(connection.sock, _IN)
        ready = dict(poll.poll(milliseconds))
        if connection.sock.fileno() in ready:
            # All of it, once the other side has ended: its last words are not to be lost.
            while connection.read_some() and descriptor in ready:
                pass
            connection.waiters.wake_ready()
        return descriptor in ready if descriptor is not None else bool(ready)
    finally:
        connection.lead.reader = 0
        connection.lead.give_back()
        connection.waiters.wake_one()


def read_until_lost(connection: Connection, seconds: float) -> None:
    """Read on until the other side has closed its end, or so many seconds have passed."""
    with contextlib.suppress(ConnectionLost, NotReady, DeadlineExceeded, Reentered):
        wait(connection, lambda: False, Deadline(seconds))


class BlockingStream:
    """A stream, which is begun, and the waiting for it.

    Args:
        connection: what it is a stream of.
        spec: what is called.
        deadline: for the pipe to take it; None leaves it to the caller to see that it is written.

    Attributes:
        wire: the stream itself.

    Raises:
        ConnectionLost: another thread is closing the connection.
        DeadlineExceeded: the other side took nothing in time.
    """

    __slots__ = ("_connection", "wire")

    def __init__(self, connection: Connection, spec: CallSpec, deadline: Deadline | None) -> None:
        self._connection = connection
        self.wire = connection.open(spec, bool if deadline is None else partial(flush, connection, deadline))

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
            ConnectionLost, NotReady, DeadlineExceeded: as :func:`wait` does.
        """
        wire = self.wire
        while True:
            if not wire.inbox and wire.outcome is None:
                wait(self._connection, self._has_news, deadline)
            has_ended = wire.outcome is not None  # first: what had come before the end is in the inbox then
            with self._connection.receiving:
                if wire.inbox:
                    message = wire.receive()
                    has_granted = wire.owes_credit and self._grant()
                    break
                if has_ended:
                    return None
                # Another thread, which receives on the same stream, was faster.
        if has_granted:
            flush(self._connection, deadline)
        self._connection.attend()
        return message

    def receive_all(self, deadline: Deadline) -> list[Message]:
        """All messages that are there, at least one; none when there will be none any more.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :func:`wait` does.
        """
        wire = self.wire
        messages: list[Message] = []
        has_ended = False
        while not (messages or has_ended):
            if not wire.inbox and wire.outcome is None:
                wait(self._connection, self._has_news, deadline)
            has_ended = wire.outcome is not None  # first: what had come before the end is in the inbox then
            with self._connection.receiving:
                while wire.inbox:
                    messages.append(wire.receive())
                has_granted = wire.owes_credit and self._grant()
            if has_granted:
                flush(self._connection, deadline)
            self._connection.attend()
        return messages

    def _grant(self) -> bool:
        """Let the app send more; True, for that is to be written then."""
        self._connection.mux.grant(self.wire)
        return True

    def _has_news(self) -> bool:
        return bool(self.wire.inbox) or self.wire.outcome is not None

    def may_send(self, deadline: Deadline) -> bool:
        """Wait until a message may be sent, or would be dropped; False if the app itself waits for room first.

        Raises:
            ConnectionLost, NotReady, DeadlineExceeded: as :func:`wait` does.
        """
        if not self._is_writable():
            wait(self._connection, lambda: self._is_writable() or self.wire.has_unreceived, deadline)
        return self._is_writable()

    def make_room(self, deadline: Deadline) -> None:
        """Let the app send on, though nobody has received what it sent: it may have to, before it receives."""
        with self._connection.receiving:
            self.wire.count_as_received()
            has_granted = self.wire.owes_credit and self._grant()
        if has_granted:
            flush(self._connection, deadline)

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
            flush(self._connection, deadline)
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
            flush(self._connection, deadline)

    def abandon(self, grace: float | None = None) -> None:
        """The same without any waiting, now or with what is sent next; and what still comes is dropped."""
        if self.wire.outcome is None and self._connection.lost is None:
            self._connection.mux.cancel(self.wire, grace)
            self._connection.try_flush()
        self._connection.mux.forget(self.wire)
