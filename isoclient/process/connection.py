"""The test's end of the link, for threads that block: the stream table, and the reading and writing of the socket.

There is no thread behind it. A thread that waits for something reads the socket itself. Where several wait, one of them
leads: it reads, hands the others their frames, and when it has what it waited for, wakes one of them to lead on.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from itertools import count
from math import ceil
from typing import Any, Final

from isoclient.host.vars import context_of_test
from isoclient.link import frames
from isoclient.link.belongings import identity, let_go_of_another
from isoclient.link.codec import Codec
from isoclient.link.errors import LinkError
from isoclient.link.frames import Frame, FrameReader
from isoclient.link.locks import make_lock
from isoclient.link.outbox import Outbox
from isoclient.link.system import os, select, socket, threading
from isoclient.process import forks
from isoclient.process.closing import Closing
from isoclient.process.deadline import Deadline, soon
from isoclient.process.eager import EagerPoll
from isoclient.process.errors import ConnectionLost, CutOff, DeadlineExceeded, NotReady, Reentered
from isoclient.process.lead import Lead
from isoclient.process.stream import Stream
from isoclient.process.terminal import Terminal
from isoclient.process.waiters import Waiters, place_to_park

__all__ = ["Connection"]

_IN: Final = select.POLLIN
_OUT: Final = select.POLLOUT


class Connection:
    """One end of the link, over a socket.

    Args:
        sock: our end; it is made non-blocking, and is closed by :meth:`close`.
        codec: how values cross.

    It may be used by several threads at once.
    """

    def __init__(self, sock: socket.socket, codec: Codec) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.codec = codec
        self.ready = False
        self.files: dict[str, Any] | None = None  # what a template that was left behind has read
        self.ending = False  # the other side has heard that it is to end, or nobody would see its answer
        self.exiting = False  # the app asked for its process to end, so it will, though it has not yet
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
        self._reader, self._outbox = FrameReader(), Outbox()
        self._streams: dict[int, Stream] = {}
        self._numbers = count(1)
        self._lead, self._waiters = Lead(), Waiters()
        self._write_lock, self._writer = make_lock(), 0
        self._cancels: deque[tuple[int, float | None]] = deque()
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

    def open(self, kind: str, argument: Any, messages: tuple[Any, ...], deadline: Deadline) -> Stream:
        """Begin a stream: a call of the app.

        Raises:
            ConnectionLost: another thread is closing it.
            DeadlineExceeded: the other side took nothing in time.
        """
        self.interrupted = False
        stream = Stream(self, next(self._numbers), lasts=kind == "lifespan")
        stream.spend(messages)
        self._streams[stream.number] = stream
        try:
            self.tell_news(deadline)
            variables = context_of_test() if self.codec.by_reference else None
            self.write(frames.OPEN, stream.number, (kind, argument, messages, variables), deadline)
        except BaseException:
            self.forget(stream)
            raise
        return stream

    def tell_news(self, deadline: Deadline) -> None:
        """Send what has changed of the things that the app shares with the test.

        Raises:
            DeadlineExceeded: the other side took nothing in time.
        """
        if self.news is not None and (news := self.news()) is not None:
            self.write(frames.CONTEXT, 0, news, deadline)

    def forget(self, stream: Stream) -> None:
        """Frames that still come for this stream are dropped."""
        self._streams.pop(stream.number, None)

    def streams(self) -> list[Stream]:
        """Those that are open now."""
        return list(self._streams.values())

    def unfinished(self) -> str:
        """In words, how much has come of a message that is not whole yet; empty if there is none such."""
        return self._reader.unfinished()

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
            self._close_unused()

    @property
    def has_prompt(self) -> bool:
        """Whether a debugger in the app's process has its prompt open."""
        return self.terminal is not None and self.terminal.is_lent

    def _take_terminal_back(self) -> None:
        if self.terminal is not None:
            self.terminal.take_back()

    def _check(self) -> None:
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
            elif not waiter.acquire(timeout=soon(deadline.milliseconds()) / 1000):
                deadline.check()
        finally:
            self._waiters.remove(waiter)

    def _read(self, deadline: Deadline) -> None:
        ready = self._incoming.poll(soon(deadline.milliseconds()))
        if not ready:
            self.meanwhile()
            deadline.check()
            return
        if any(descriptor == self._watched for descriptor, _ in ready):
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
        """Read once, and act upon the frames that came; False if there was nothing to read."""
        try:
            received = self._sock.recv_into(self._reader.get_buffer())
            for frame in self._reader.buffer_updated(received) if received else ():
                self._take(frame)
            self._reader.check()
        except BlockingIOError:
            return False
        except OSError:
            received = 0  # ECONNRESET: dead, with frames of ours unread
        except LinkError as error:
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

    def _take(self, frame: Frame) -> None:
        stream = self._streams.get(frame.stream)
        if stream is not None:
            stream.take(frame)
            if frame.kind == frames.END:
                self.forget(stream)
        elif frame.kind == frames.READY:
            self.files = self.codec.decode(frame.meta, frame.payload)
            self.ready = True
        elif frame.kind == frames.ENDING:
            self.codec.decode(frame.meta, frame.payload)
            self.ending = True
        elif frame.kind == frames.FAILED:
            self.failure = self.codec.unpack_exception(self.codec.decode(frame.meta, frame.payload))
        elif frame.kind == frames.DEBUG and self.terminal is not None:
            self.terminal.take(self.codec.decode(frame.meta, frame.payload))
        elif self.codec.by_reference:
            self.codec.decode(frame.meta, frame.payload)  # so that the table does not keep it

    # -- writing

    def write(self, kind: int, number: int, value: object, deadline: Deadline, *, hold: bool = False) -> None:
        """Send a frame, whole. While the pipe is full, what comes in is read, for the other side may wait for that.

        A failure of the other side is no error here: it shows at the next :meth:`wait`, after what it still had to say.

        With ``hold``, it only goes out along with the next frame, which has to follow at once.

        Raises:
            ConnectionLost: another thread is closing the connection.
            DeadlineExceeded: the pipe stayed full. The frame stays in order before the next one.
        """
        meta, payload = self.codec.encode(value)
        this_thread = threading.get_ident()
        if self._writer == this_thread:
            raise Reentered("this thread is already writing to the app, further down its stack")
        try:
            while not self._write_lock.acquire(timeout=deadline.lock_timeout()):
                deadline.check()
            self._writer = this_thread
            self.closing.check()
            self._outbox.put(frames.pack(kind, number, meta, payload), payload)
            while not hold and not self._write_some():
                self._wait_writable(deadline)
                self.closing.check()
            if self._cancels:  # asked for by another thread, or by the garbage collector in this one, meanwhile
                self._put_cancels()
                self._write_some()
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
            self._close_unused()

    def try_write(self, kind: int, number: int, value: object) -> bool:
        """Send a frame if that takes no waiting at all, and return whether; for signal handlers and finalizers."""
        return self._write_at_once(lambda: self._put(kind, number, value))

    def _write_at_once(self, put: Callable[[], object]) -> bool:
        this_thread = threading.get_ident()
        if self.lost is not None or self._writer == this_thread:
            return False
        try:
            if not self._write_lock.acquire(blocking=False):
                return False
            self._writer = this_thread
            put()
            return self._write_some()
        finally:  # as in write()
            if self._writer == this_thread:
                self._writer = 0
            try:  # noqa: SIM105
                self._write_lock.release()
            except RuntimeError:
                pass
            self._close_unused()

    def cancel_soon(self, number: int, grace: float | None) -> None:
        """Cancel a stream without any waiting: now, or with the next frame that goes out."""
        self._cancels.append((number, grace))
        self._write_at_once(self._put_cancels)

    def _put_cancels(self) -> None:
        while self._cancels:
            self._put(frames.CANCEL, *self._cancels.popleft())

    def _put(self, kind: int, number: int, value: object) -> None:
        meta, payload = self.codec.encode(value)
        self._outbox.put(frames.pack(kind, number, meta, payload), payload)

    def ask_to_end(self) -> None:
        """Ask the other side to end in order, without any waiting. Where no frame gets out, the end of file says it."""
        if let_go_of_another(self._sock, self._file):
            self._lose(None)
        written = self.try_write(frames.STOP, 0, None)
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
            self._outbox.clear()
        try:
            return self._outbox.write(self._sock)
        except OSError:
            self._outbox.clear()  # EPIPE: the reader will find the end of file, after the frames before it
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
            found = dict(poll.poll(soon(deadline.milliseconds())))
            if not found:
                self.meanwhile()
                deadline.check()
            if self._watched in found:
                self._outbox.clear()
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
            return is_closed or self._discard_until(descriptor, soon(ceil(seconds * 1000)))
        finally:
            self.closing.watchers.discard(token)
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
        for stream in self.streams():
            if not stream.lasts:
                self.forget(stream)
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
        self.closing.add(close)
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
        for stream in self.streams():
            stream.be_forked()
        if self.terminal is not None:
            self.terminal.abandon()
        self._close_when_unused(self._sock.close)
