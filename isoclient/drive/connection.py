"""The test's end of the pipe, for threads that block: the reading and writing of its socket, and the waiting for it.

There is no thread behind it. A thread that waits for something reads the socket itself. Where several wait, one of them
leads: it reads, hands the others their frames, and when it has what it waited for, wakes one of them to lead on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from isoclient.drive.deadline import Deadline
from isoclient.drive.eager import EagerPoll
from isoclient.drive.failures import ConnectionLost, CutOff, DeadlineExceeded, NotReady, Reentered
from isoclient.drive.sending import write_out
from isoclient.drive.terminal import Terminal
from isoclient.drive.threads import Closing, Lead, Waiters, place_to_park
from isoclient.mirror.context_variables import context_of_test
from isoclient.system import forks
from isoclient.system.descriptors import identity, let_go_of_another
from isoclient.system.locks import make_lock
from isoclient.system.modules import os, select, socket, threading
from isoclient.transit.codecs import Codec
from isoclient.wire.mux import Mux, Stream
from isoclient.wire.protocol import CONTEXT, DEBUG, ENDING, FAILED, READY, STOP, CallSpec, WireError

__all__ = ["Connection"]

_IN: Final = select.POLLIN
_OUT: Final = select.POLLOUT
_WRITING: Final = "this thread is already writing to the app, further down its stack"


class Connection:
    """The client's end of the wire, over a socket. The multiplexer has the state, and this moves its bytes.

    Args:
        sock: our end; it is made non-blocking, and is closed by :meth:`close`.
        codec: how values cross.

    It may be used by several threads at once.

    Attributes:
        mux: the multiplexer. Whoever puts something into its outbox sees to it that it is written, by :meth:`flush`.
        receiving: held for the moment in which a message is taken out of the inbox of a stream.
    """

    def __init__(self, sock: socket.socket, codec: Codec) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.codec = codec
        self.mux = Mux("client", codec)
        self.receiving = make_lock()
        self.ready = False
        self.ending = False  # the other side has heard that it is to end, or nobody would see its answer
        self.interrupted = False  # Ctrl-C or the like has ended the last wait: nobody is patient any more
        self.stuck = False  # it was seen that the other side's event loop does not answer
        self.lost: ConnectionLost | None = None
        self.failure: BaseException | None = None
        self.news: Callable[[], object] | None = None  # what is to be told before anything is sent; None for nothing
        self.meanwhile: Callable[[], object] = bool  # called now and then by whoever waits; this does nothing
        self.terminal: Terminal | None = None  # where a debugger in the app's process may have its prompt
        self._sock, self._file = sock, identity(os.fstat(sock.fileno()))
        self._watched = -1
        self.closing = Closing()
        self._lead, self._waiters = Lead(), Waiters()
        self._write_lock, self._writer = make_lock(), 0
        self._incoming = EagerPoll()
        self._incoming.register(sock, _IN)

    def watch(self, descriptor: int) -> None:
        """Take the readiness of this descriptor, a pidfd, for the end of the other side.

        The end of file alone is not enough: whatever the app has started may still hold the socket.
        """
        self._watched = descriptor
        self._incoming.register(descriptor, _IN)
        self._incoming.allow()

    def unwatch(self, close: Callable[[], object]) -> None:
        """Close the descriptor that is watched, by this function, as soon as nobody polls it; after :meth:`close`."""
        self._watched = -1
        self._close_when_unused(close)

    # -- streams

    def open(self, spec: CallSpec, deadline: Deadline) -> Stream:
        """Begin a stream: a call of the app. What waits for it is a :class:`isoclient.drive.stream.BlockingStream`.

        Raises:
            ConnectionLost: another thread is closing it.
            DeadlineExceeded: the other side took nothing in time.
        """
        self.interrupted = False
        self.begin_sending()
        if self.codec.by_reference:
            spec = CallSpec(spec.kind, spec.argument, spec.messages, context_of_test())
        stream = self.mux.stream(spec.kind)  # to be known, whatever interrupts what comes now
        try:
            self.mux.open(spec, stream)
            self.flush(deadline)
        except BaseException:
            self.mux.cancel(stream)  # it may be written yet, along with something else
            self.mux.forget(stream)
            raise
        return stream

    def begin_sending(self) -> None:
        """To be called before anything for the app is put into the outbox.

        It puts there what has changed of the things that the app shares with the test.

        Raises:
            ConnectionLost: another thread is closing it.
        """
        if self._writer == threading.get_ident():
            raise Reentered(_WRITING)
        if self.closing.has_begun:
            self.closing.check()
        if self.news is not None and (news := self.news()) is not None:
            self.mux.tell(CONTEXT, news)

    def unfinished(self) -> str:
        """In words, how much has come of a message that is not whole yet; empty if there is none such."""
        return self.mux.unfinished()

    # -- waiting and reading

    def wait(self, ready: Callable[[], object], deadline: Deadline) -> None:
        """Read until ``ready()`` is true.

        Raises:
            ConnectionLost: the other side has ended before that, or another thread is closing the connection.
            NotReady: the app could not be loaded.
            DeadlineExceeded: it was not in time.
        """
        try:
            while not ready():
                self._check()
                if self._lead.take():
                    self._lead_on(ready, deadline)
                else:
                    self._follow(ready, deadline)
        except (ConnectionLost, DeadlineExceeded, NotReady, Reentered):
            raise
        except BaseException:
            self.interrupted = True
            raise
        finally:
            # Whoever leaves without having led last may have been woken to lead: then the task is handed on.
            if not self._lead.is_taken:
                self._waiters.wake_one()

    def _lead_on(self, ready: Callable[[], object], deadline: Deadline) -> None:
        try:
            self._lead.reader = threading.get_ident()
            if not ready() and self.lost is None:
                self._read(deadline)
            while self.has_prompt and self.lost is None:
                # Nobody goes on while somebody types there, also where what was waited for has come meanwhile.
                self._read(deadline)
        except BaseException:
            self._take_terminal_back()  # Ctrl-C, or a time limit on the test
            raise
        finally:
            self._lead.reader = 0
            self._lead.give_back()
            if self.closing.unused:
                self._close_unused()

    @property
    def has_prompt(self) -> bool:
        """Whether a debugger in the app's process has its prompt open."""
        return self.terminal is not None and self.terminal.is_lent

    def _take_terminal_back(self) -> None:
        if self.terminal is not None:
            self.terminal.take_back()

    def _check(self) -> None:
        if self.closing.has_begun:
            self.closing.check()
        if self.failure is not None:
            raise NotReady("the app could not be loaded") from self.failure
        if self.lost is not None:
            raise self.lost.again()

    def _follow(self, ready: Callable[[], object], deadline: Deadline) -> None:
        if self._lead.is_ours:
            raise Reentered("this thread is already waiting for the app, further down its stack")
        waiter = place_to_park()
        try:
            self._waiters.add(ready, waiter)
            # The leader may have stopped between our attempt to lead and our entry: then nobody would wake us.
            if self.is_dismissed:
                return  # by who has not seen our entry
            if self._lead.take():
                self._lead.give_back()
            # Whoever is to wake us may be interrupted before that.
            elif not waiter.acquire(timeout=deadline.moment() / 1000):
                deadline.check()
        finally:
            self._waiters.remove(waiter)

    def _read(self, deadline: Deadline) -> None:
        ready = self._incoming.poll(deadline.moment())
        if not ready:
            self.meanwhile()
            deadline.check()
            return
        if ready[0][0] == self._watched or ready[-1][0] == self._watched:  # one or both of two
            self._drain()
        else:
            self._read_some()
        self._waiters.wake_ready()

    def _drain(self) -> None:
        self.meanwhile()  # a last look: the other side is dead, but what it had written counts
        while self._read_some():
            pass
        self._lose(None)

    def _read_some(self) -> bool:
        """Read once, and act upon what came; False if there was nothing to read."""
        try:
            received = self._sock.recv_into(self.mux.get_buffer())
            for kind, stream, value in self.mux.buffer_updated(received) if received else ():
                if stream is None:
                    self._hear(kind, value)
            self.mux.check()
        except BlockingIOError:
            return False
        except OSError:
            received = 0  # ECONNRESET: dead, with frames of ours unread
        except WireError as error:
            self._lose(error)
            return False
        except BaseException as error:
            self._lose(CutOff(repr(error)))  # out of a signal handler, and what was read before it is lost
            raise
        if received == 0:
            self._lose(None)
        return received > 0

    def _lose(self, cause: BaseException | None) -> None:
        if self.lost is None:
            lost = ConnectionLost(str(cause) if cause else "the app's side of the pipe was closed")
            lost.__cause__ = cause
            self.lost = lost
        self._take_terminal_back()

    def _hear(self, kind: int, value: Any) -> None:
        """Act on what is of no stream."""
        if kind == READY:
            self.ready = True
        elif kind == ENDING:
            self.ending = True
        elif kind == FAILED:
            self.failure = self.codec.unpack_exception(value)
        elif kind == DEBUG and self.terminal is not None:
            self.terminal.take(value)

    # -- writing

    def flush(self, deadline: Deadline) -> None:
        """Write what is in the outbox. While the pipe is full, what comes in is read: the other side may wait for it.

        A failure of the other side is no error here: it shows at the next :meth:`wait`, after what it still had to say.

        Raises:
            ConnectionLost: another thread is closing the connection.
            DeadlineExceeded: the pipe stayed full. What is left goes out, whole and in order, with what is sent next.
        """
        this_thread = threading.get_ident()
        if self._writer == this_thread:
            raise Reentered(_WRITING)
        try:
            while not self._write_lock.acquire(timeout=deadline.lock_timeout()):
                deadline.check()
            self._writer = this_thread
            if self.closing.has_begun:
                self.closing.check()
            while not self._write_some():
                self._wait_writable(deadline)
                self.closing.check()
        except (ConnectionLost, DeadlineExceeded):
            raise
        except BaseException as error:
            if self._writer == this_thread:
                self._lose(CutOff(repr(error)))  # out of a signal handler, and how much has been written nobody knows
            raise
        finally:
            # What a signal handler raises may have come before the lock was taken, or right after; and before a call.
            if self._writer == this_thread:
                self._writer = 0
            try:  # noqa: SIM105
                self._write_lock.release()
            except RuntimeError:  # it had not been taken
                pass
            if self.closing.unused:
                self._close_unused()
        if self.mux.outbox.parts:  # put there meanwhile by a finalizer, or by a thread that may not wait
            self.try_flush()

    def try_flush(self) -> bool:
        """Write what is in the outbox if that takes no waiting at all; for signal handlers and finalizers.

        Returns:
            Whether all has gone out. What has not goes out with what is sent next.
        """
        this_thread = threading.get_ident()
        if self.lost is not None or self._writer == this_thread:
            return False
        try:
            if not self._write_lock.acquire(blocking=False):
                return False
            self._writer = this_thread
            return self._write_some()
        except BaseException as error:  # as in flush()
            if self._writer == this_thread:
                self._lose(CutOff(repr(error)))
            raise
        finally:
            if self._writer == this_thread:
                self._writer = 0
            try:  # noqa: SIM105
                self._write_lock.release()
            except RuntimeError:
                pass
            if self.closing.unused:
                self._close_unused()

    def ask_to_end(self) -> None:
        """Ask the other side to end in order, without any waiting. Where no frame gets out, the end of file says it."""
        if let_go_of_another(self._sock, self._file):
            self._lose(None)
        self.mux.tell(STOP)
        written = self.try_flush()
        with contextlib.suppress(OSError):
            if self._lead.is_ours:
                # In a signal handler, amid reading: this thread can't read what the other side may have to write. Only
                # with both directions shut does that wake up and see it.
                self.ending = True  # its answer won't be seen either
                self._sock.shutdown(socket.SHUT_RDWR)
            elif not written:
                self._sock.shutdown(socket.SHUT_WR)

    def _write_some(self) -> bool:
        if self.lost is not None:
            self.mux.outbox.clear()
        try:
            return write_out(self.mux.outbox, self._sock)
        except OSError:
            self.mux.outbox.clear()  # EPIPE: the reader will find the end of file, after the frames before it
            return True

    def _wait_writable(self, deadline: Deadline) -> None:
        leads = self._lead.take()
        try:
            if leads:
                self._lead.reader = threading.get_ident()
            poll = select.poll()
            poll.register(self._sock, _OUT | _IN if leads else _OUT)
            if self._watched >= 0:
                poll.register(self._watched, _IN)
            found = dict(poll.poll(deadline.moment()))
            if not found:
                self.meanwhile()
                deadline.check()
            if self._watched in found:
                self.mux.outbox.clear()
            if leads and found.get(self._sock.fileno(), 0) & ~_OUT:
                self._read_some()
                self._waiters.wake_ready()
        finally:
            if leads:
                self._lead.reader = 0
                self._lead.give_back()
                self._waiters.wake_one()

    def discard_until(self, descriptor: int | None, seconds: float) -> bool:
        """Wait for this descriptor, and read meanwhile, so that the other side is not held up by a full pipe.

        Returns:
            Whether it is ready, or without a descriptor, something has been read; False after the time, and now and
            then before.
        """
        token = object()
        self.meanwhile()
        try:
            self.closing.watchers.add(token)
            # Another thread may have closed it since the caller looked.
            is_closed = descriptor not in (None, self._watched)
            return is_closed or self._discard_until(descriptor, Deadline(seconds).moment())
        finally:
            self.closing.watchers.discard(token)
            if self.closing.unused:
                self._close_unused()

    def _discard_until(self, descriptor: int | None, milliseconds: int) -> bool:
        poll = select.poll()
        if descriptor is not None:
            poll.register(descriptor, _IN)
        if self.lost is not None or not self._lead.take():
            return bool(poll.poll(milliseconds))
        try:
            self._lead.reader = threading.get_ident()
            poll.register(self._sock, _IN)
            ready = dict(poll.poll(milliseconds))
            if self._sock.fileno() in ready:
                # All of it, once the other side has ended: its last words are not to be lost.
                while self._read_some() and descriptor in ready:
                    pass
                self._waiters.wake_ready()
            return descriptor in ready if descriptor is not None else bool(ready)
        finally:
            self._lead.reader = 0
            self._lead.give_back()
            self._waiters.wake_one()

    def read_until_lost(self, seconds: float) -> None:
        """Read on until the other side has closed its end, or so many seconds have passed."""
        with contextlib.suppress(ConnectionLost, NotReady, DeadlineExceeded, Reentered):
            self.wait(lambda: False, Deadline(seconds))

    # -- the end

    def dismiss(self, *, but_this_thread: bool = False) -> None:
        """It is to be closed: whoever waits or writes gets :class:`ConnectionLost`, and so does whoever comes yet.

        What still comes for the streams that are open is dropped, for the end of their calls will be due to the close.

        Args:
            but_this_thread: let the one that calls this go on, with streams that it opens, and with the lifespan.
        """
        self.closing.begin(but_this_thread=but_this_thread)
        for stream in list(self.mux.streams.values()):
            if stream.kind != "lifespan":
                self.mux.forget(stream)
        # Whoever is in a poll looks again soon, at the latest when the other side answers to its being ended.
        self._waiters.wake_all()

    @property
    def is_dismissed(self) -> bool:
        """Whether it is to be closed, and by another thread than this one."""
        return self.closing.is_by_another

    def close(self, *, in_order: bool = True) -> None:
        """Close the socket. Whoever still waits gets :class:`ConnectionLost`, and the last of them closes it."""
        if in_order or self.lost is None:
            self.lost = ConnectionLost("the connection was closed", closed_here=in_order)
        self._take_terminal_back()
        let_go_of_another(self._sock, self._file)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # closing it would wake nobody who polls it
        self._close_when_unused(self._sock.close)

    def _close_when_unused(self, close: Callable[[], object]) -> None:
        self.closing.unused.append(close)
        if self._lead.reader or self._writer or self.closing.watchers:
            forks.register(self)  # for it outlives the app
        self._close_unused()

    def _close_unused(self) -> None:
        self.closing.close_unused(self._lead.reader or self._writer)

    def abandon(self) -> None:
        """In a fork: close the socket alone. Shutting it down would do so for the process that it belongs to, too."""
        self.lost = ConnectionLost("the connection is that of the process before the fork", closed_here=True)
        # Threads that write, lead or wait are not here, and their numbers may be those of others by now.
        self._writer = 0
        self.closing.watchers.clear()
        self._lead, self._waiters = Lead(), Waiters()
        if self.terminal is not None:
            self.terminal.abandon()
        self._close_when_unused(self._sock.close)
