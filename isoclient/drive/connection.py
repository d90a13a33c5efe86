"""The test's end of the pipe: what is said is written to its socket, and what comes is read, without any waiting.

Threads wait for a connection as :mod:`isoclient.drive.blocking` has it, tasks as :mod:`isoclient.drive.awaiting`. There
is no thread or task behind it: whoever waits for something does the reading, also for the others that wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from isoclient.drive.failures import ConnectionLost, CutOff, NotReady, Reentered
from isoclient.drive.readiness import Readiness
from isoclient.drive.terminal import Terminal
from isoclient.drive.waiting import LOOK, Closing, EagerPoll, Lead, Waiters
from isoclient.mirror.context_variables import context_of_test
from isoclient.mirror.mirrored import Context
from isoclient.system import forks
from isoclient.system.descriptors import identity, let_go_of_another
from isoclient.system.locks import make_lock
from isoclient.system.modules import os, select, socket, threading, time
from isoclient.system.sigpipe import NO_SIGNAL
from isoclient.transit.codecs import Codec
from isoclient.wire.mux import Mux, Stream
from isoclient.wire.protocol import CONTEXT, DEBUG, LIFESPANS, STOP, CallSpec, WireError

__all__ = ["WRITING", "Connection"]

_OF_ANOTHER_PROCESS: Final = ConnectionLost("the connection is that of the process before the fork", closed_here=True)
WRITING: Final = "this thread is already writing to the app, further down its stack"
"""What a thread is told that would write amid its own writing."""


class Connection:
    """The client's end of the wire, over a socket. The multiplexer has the state, and this moves its bytes.

    It may be used by several threads at once, and by tasks of several event loops.

    Args:
        sock: our end; it is made non-blocking, and is closed by :meth:`close`.
        codec: how values cross.
        tell_news: called before anything else is sent, with what tells the app what has changed of its surroundings.
        meanwhile: called now and then by whoever waits.
        terminal: where a debugger in the app's process may have its prompt.

    Attributes:
        codec: how values cross.
        mux: the multiplexer. Whoever puts something into its outbox sees to it that it is written.
        server: what the other side has said of itself.
        receiving: held for the moment in which a message is taken out of the inbox of a stream.
        closing: how far the end of the connection has come.
        lost: what is known of the end of the other side, once that is seen, or of this one.
        stuck: whether the other side's event loop was seen not to answer.
        interrupted: whether Ctrl-C or the like has ended the last wait: nobody is patient any more.
        lead: which thread reads.
        waiters: the others.
        write_lock: held by the thread that writes.
        writer: the number of that thread; 0 for none.
        incoming: polls the socket and what is watched, and knows whether answers are fast.
        sock: our end.
        watched: the pidfd that tells the end of the other side; -1 for none.
        meanwhile: to be called now and then by whoever waits.
        pace: after how many milliseconds at most.
        terminal: where a debugger in the app's process may have its prompt.
    """

    _readiness: Readiness | None = None

    def __init__(
        self,
        sock: socket.socket,
        codec: Codec,
        *,
        tell_news: Callable[[Callable[[Context], object]], object] | None = None,
        meanwhile: Callable[[], object] = bool,  # which does nothing
        terminal: Terminal | None = None,
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.codec = codec
        self.mux = Mux("client", codec)
        self.server = self.mux.server
        self.receiving = make_lock()
        self.closing = Closing()
        self.lost: ConnectionLost | None = None
        self.stuck = self.interrupted = False
        self.lead, self.waiters = Lead(), Waiters()
        self.write_lock, self.writer = make_lock(), 0
        self.incoming = EagerPoll()
        self.incoming.register(sock, select.POLLIN)
        self.sock, self._file = sock, identity(os.fstat(sock.fileno()))
        self.watched = -1
        self._tell_news, self.meanwhile, self.terminal = tell_news, meanwhile, terminal
        self.pace, self._attended = LOOK, 0.0
        self._ends_unseen = False

    def watch(self, descriptor: int) -> None:
        """Take the readiness of this descriptor, a pidfd, for the end of the other side.

        The end of file alone is not enough: whatever the app has started may still hold the socket.
        """
        self.watched = descriptor
        self.incoming.register(descriptor, select.POLLIN)
        self.incoming.allow()

    def unwatch(self, close: Callable[[], object]) -> None:
        """Close the descriptor that is watched, by this function, as soon as nobody polls it; after :meth:`close`."""
        self.watched = -1
        self._close_when_unused(close)

    # -- streams

    def open(self, spec: CallSpec, write: Callable[[], object] = bool) -> Stream:
        """Begin a stream: a call of the app. Threads wait for it by :class:`isoclient.drive.blocking.BlockingStream`.

        Args:
            spec: what is called.
            write: writes what is in the outbox, unless the caller sees to that. When it raises, there is no stream.

        Raises:
            ConnectionLost: another thread is closing it.
        """
        self.interrupted = False
        self.begin_sending()
        if self.codec.by_reference:
            spec = CallSpec(spec.kind, spec.argument, spec.messages, context_of_test())
        stream = self.mux.stream(spec.kind)  # to be known, whatever interrupts what comes now
        try:
            self.mux.open(spec, stream)
            write()
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
        if self.writer == threading.get_ident():
            raise Reentered(WRITING)
        if self.closing.has_begun:
            self.closing.check()
        if self._tell_news is not None:
            self._tell_news(self._tell_context)

    def _tell_context(self, news: Context) -> None:
        self.mux.tell(CONTEXT, news)

    def notice_stuck(self) -> None:
        """The other side's event loop has not answered in time. It is not waited for any more when it is to end."""
        self.stuck = True

    # -- reading

    @property
    def has_prompt(self) -> bool:
        """Whether a debugger in the app's process has its prompt open."""
        return self.terminal is not None and self.terminal.is_lent

    def take_terminal_back(self) -> None:
        """Have it back from a debugger in the app's process, where it is lent."""
        if self.terminal is not None:
            self.terminal.take_back()

    def check(self) -> None:
        """Raise what ends every wait.

        Raises:
            ConnectionLost: the other side has ended, or another thread is closing the connection.
            NotReady: the app could not be loaded.
        """
        if self.closing.has_begun:
            self.closing.check()
        if self.server.failure is not None:
            raise NotReady("the app could not be loaded") from self.codec.unpack_exception(self.server.failure)
        if self.lost is not None:
            raise self.lost.again()

    @property
    def readiness(self) -> Readiness:
        """What tells tasks that a look is worth while."""
        if self._readiness is None:
            self._readiness = Readiness(self.sock, self.watched)
        return self._readiness

    def look(self, *, idle: bool = False, eagerly: bool = False) -> None:
        """Write and read what can be without any waiting, and wake those who have what they wait for.

        Args:
            idle: whether nothing has come for a while.
            eagerly: whether to look for a moment, if there is nothing to read yet.
        """
        if idle:
            self.meanwhile()
        self.waiters.wake_late()
        if self.mux.outbox.parts:
            self.try_flush()
        if self.lost is not None or not self.lead.take():
            return  # another thread reads
        try:
            self.lead.reader = threading.get_ident()
            if eagerly and not self.incoming.glance():
                return
            if self.read_some():
                self.incoming.answered()
            elif any(found == self.watched for found, _ in self.incoming.poll(0)):
                self.drain()
            self.waiters.wake_ready()
        finally:
            self.lead.reader = 0
            self.lead.give_back()
            self.waiters.wake_one()
            if self.closing.unused:
                self.close_unused()

    def attend(self) -> None:
        """To be called after a message: others may wait for what is done meanwhile, though the pipe is never idle."""
        if self.pace < LOOK and time.monotonic() > self._attended + self.pace / 1000:
            self.meanwhile()
            self._attended = time.monotonic()

    def drain(self) -> None:
        """The other side is dead, but what it had written counts: read that. Whoever calls it leads."""
        self.meanwhile()  # a last look
        while self.read_some():
            pass
        self.lose(None)

    def read_some(self) -> bool:
        """Read once, and act upon what came; False if there was nothing to read. Whoever calls it leads."""
        try:
            received = self.sock.recv_into(self.mux.get_buffer())
            for kind, stream, value in self.mux.buffer_updated(received) if received else ():
                if stream is None and kind == DEBUG and self.terminal is not None:
                    self.terminal.take(value)
            self.mux.check()
        except BlockingIOError:
            return False
        except OSError:
            received = 0  # ECONNRESET: dead, with frames of ours unread
        except WireError as error:
            self.lose(error)
            return False
        except BaseException as error:
            self.lose(CutOff(repr(error)))  # out of a signal handler, and what was read before it is lost
            raise
        if received == 0:
            self.lose(None)
        return received > 0

    def lose(self, cause: BaseException | None) -> None:
        """There is no other side any more; ``cause`` is why, where that was not its end."""
        if self.lost is None:
            lost = ConnectionLost(str(cause) if cause else "the app's side of the pipe was closed")
            lost.__cause__ = cause
            self.lost = lost
        self.take_terminal_back()

    # -- writing

    def try_flush(self) -> bool:
        """Write what is in the outbox if that takes no waiting at all; for signal handlers and finalizers.

        Returns:
            Whether all has gone out. What has not goes out with what is sent next.
        """
        # The steps of :func:`isoclient.drive.blocking.flush` once more. A function around both would be one more call
        # for each frame, and one more moment between taking the lock and giving it back for a signal handler to raise.
        this_thread = threading.get_ident()
        if self.lost is not None or self.writer == this_thread:
            return False
        try:
            if not self.write_lock.acquire(blocking=False):
                return False
            self.writer = this_thread
            return self.write_some()
        except BaseException as error:
            if self.writer == this_thread:
                self.lose(CutOff(repr(error)))  # out of a signal handler, and nobody knows how much has been written
            raise
        finally:
            # What a signal handler raises may have come before the lock was taken, or right after; and before a call.
            if self.writer == this_thread:
                self.writer = 0
            try:  # noqa: SIM105
                self.write_lock.release()
            except RuntimeError:  # it had not been taken
                pass
            if self.closing.unused:
                self.close_unused()

    def ask_to_end(self) -> None:
        """Ask the other side to end in order, without any waiting. Where no frame gets out, the end of file says it."""
        if let_go_of_another(self.sock, self._file):
            self.lose(None)
        self.mux.tell(STOP)
        written = self.try_flush()
        with contextlib.suppress(OSError):
            if self.lead.is_ours:
                # In a signal handler, amid reading: this thread can't read what the other side may have to write. Only
                # with both directions shut does that wake up and see it.
                self._ends_unseen = True
                self.sock.shutdown(socket.SHUT_RDWR)
            elif not written:
                self.sock.shutdown(socket.SHUT_WR)

    @property
    def has_heard_of_its_end(self) -> bool:
        """Whether the other side knows that it was asked to end; or may know, where nobody would see its answer."""
        return self.server.ending or self._ends_unseen

    def write_some(self) -> bool:
        """Write what the pipe takes; return whether that was all. Whoever calls it has the lock."""
        if self.lost is not None:
            self.mux.outbox.clear()
        try:
            return self.mux.outbox.write(self.sock.send, self.sock.sendmsg, NO_SIGNAL)
        except OSError:
            self.mux.outbox.clear()  # EPIPE: the reader will find the end of file, after the frames before it
            return True

    # -- the end

    def dismiss(self, *, but_this_thread: bool = False) -> None:
        """It is to be closed: whoever waits or writes gets :class:`ConnectionLost`, and so does whoever comes yet.

        What still comes for the streams that are open is dropped, for the end of their calls will be due to the close.

        Args:
            but_this_thread: let the one that calls this go on, with streams that it opens, and with the lifespan.
        """
        self.closing.begin(but_this_thread=but_this_thread)
        for stream in list(self.mux.streams.values()):
            if stream.kind not in LIFESPANS:
                self.mux.forget(stream)
        # Whoever is in a poll looks again soon, at the latest when the other side answers to its being ended.
        self.waiters.wake_all()

    @property
    def is_dismissed(self) -> bool:
        """Whether it is to be closed, and by another thread than this one."""
        return self.closing.is_by_another

    def close(self, *, in_order: bool = True) -> None:
        """Close the socket. Whoever still waits gets :class:`ConnectionLost`, and the last of them closes it."""
        if in_order or self.lost is None:
            self.lost = ConnectionLost("the connection was closed", closed_here=in_order)
        self.take_terminal_back()
        let_go_of_another(self.sock, self._file)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # closing it would wake nobody who polls it
        self._close_when_unused(self.close_descriptors)

    def _close_when_unused(self, close: Callable[[], object]) -> None:
        self.closing.unused.append(close)
        if self.lead.reader or self.writer or self.closing.watchers:
            forks.register(self)  # for it outlives the app
        self.close_unused()

    def end_watch(self, token: object) -> None:
        """Whoever has put this token among the watchers polls no more."""
        self.closing.watchers.discard(token)
        if self.closing.unused:
            self.close_unused()

    def close_unused(self) -> None:
        """To be called by whoever has led, written or watched, when it is seen that something is to be closed."""
        self.closing.close_unused(self.lead.reader or self.writer)

    def close_descriptors(self) -> None:
        """When nobody uses them. Idempotent."""
        self.sock.close()
        if self._readiness is not None:
            self._readiness.close()

    def abandon(self) -> None:
        """In a fork: close the socket alone. Shutting it down would do so for the process that it belongs to, too."""
        self.lost = _OF_ANOTHER_PROCESS
        # Threads that write, lead or wait are not here, and their numbers may be those of others by now.
        self.writer = 0
        self.closing.watchers.clear()
        if self.lead.is_taken or self.waiters.parked or self.waiters.tasks:  # else a fork need not copy their memory
            self.lead, self.waiters = Lead(), Waiters()
        if self.terminal is not None:
            self.terminal.abandon()
        self.close_descriptors()
