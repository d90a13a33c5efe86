"""A fork of the test's process that does part of its work in its place, and tells how that goes.

It is for the tests that run together with their apps (see :mod:`isoclient.plugin.together`), and knows nothing of them:
here it is a function that runs in a fork, messages in both directions, and an end that is seen however it comes.

The two ends are a socket pair. A process that the fork has started may hold its end of that for ever, so the end of the
fork is seen through a pidfd beside it; and all that the fork had said before its end is received first.
"""

from __future__ import annotations

import contextlib
import marshal
import sys
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Any, Final, NoReturn

from isoclient.compat.python_threads import renumber_this_thread
from isoclient.drive.waiting import Deadline
from isoclient.process.departed import await_death
from isoclient.process.dumps import ask_for_dump
from isoclient.process.launch import fork
from isoclient.process.output import OutputFile
from isoclient.server import lifeline
from isoclient.server.child import DUMP_SIGNAL, leave, write_stacks_to
from isoclient.server.inherited import BeforeFork, settle
from isoclient.server.own_end import note_own_end
from isoclient.server.task_dump import TASKS_SIGNAL, THESE_ARE_ALL, write_tasks_to
from isoclient.system import forks, pidfds
from isoclient.system.descriptors import Belongings, Identity, identity, is_still
from isoclient.system.modules import io, os, pickle, select, signal, socket, time
from isoclient.system.sigpipe import NO_SIGNAL
from isoclient.system.standard_streams import occupy_standard_streams
from isoclient.transit.trees import ValueReader, ValueWriter, plain_tree
from isoclient.transit.unpickling import load_plain

__all__ = ["PATIENCE", "UnitLine", "UnitProcess"]

_HEADER: Final = 5  # the size of a message, and how it is written
_PLAIN, _TREE = b"p", b"t"
_LEAVING: Final = "leaving"
_PIECE: Final = 256 * 1024
_TELLING: Final = 0.5  # seconds that a main thread which runs Python's code may take to say where tasks wait
_MOMENT: Final = 0.005  # seconds between two looks whether it has
_LOOK: Final = 0.02  # seconds between two looks where there are no pidfds
PATIENCE: Final = 10.0
"""Seconds that a process which is told to end may take for its exit handlers and threads."""


def _written(message: tuple[Any, ...]) -> bytes:
    try:
        how, text = _PLAIN, marshal.dumps(message)
    except ValueError:  # what is no plain value arrives as itself where that can be, or as a stand-in
        how, text = _TREE, pickle.dumps(plain_tree(ValueWriter().write(message)), protocol=5)
    return len(text).to_bytes(_HEADER - 1, "big") + how + text


class _Messages:
    """What comes, as bytes in pieces of any size; and as messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._whole: deque[tuple[Any, ...]] = deque()

    def __bool__(self) -> bool:
        return bool(self._whole)

    def take(self) -> tuple[Any, ...]:
        return self._whole.popleft()

    def feed(self, piece: bytes) -> None:
        self._bytes += piece
        while len(self._bytes) >= _HEADER:
            size = int.from_bytes(self._bytes[: _HEADER - 1], "big")
            if len(self._bytes) < _HEADER + size:
                break
            how, text = self._bytes[_HEADER - 1 : _HEADER], bytes(self._bytes[_HEADER : _HEADER + size])
            del self._bytes[: _HEADER + size]
            self._whole.append(marshal.loads(text) if how == _PLAIN else ValueReader().read(load_plain(text)))


class UnitLine:
    """The fork's end.

    Args:
        sock: its socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file: Identity = identity(os.fstat(sock.fileno()))
        self._messages = _Messages()
        self._pid = os.getpid()
        forks.register(self)

    def send(self, *message: Any) -> None:
        """Say something to the test's process."""
        self._see_that_it_is_ours()
        left = memoryview(_written(message))
        try:
            while left:
                left = left[self._sock.send(left, NO_SIGNAL) :]
        except OSError:
            os._exit(1)  # nobody is there to whom it could matter

    def say_leaving(self, code: int) -> None:
        """Nothing is left to be done here, and nobody has to wait for the system to end this process."""
        self.send(_LEAVING, code)

    def receive(self) -> tuple[Any, ...]:
        """What the test's process says next. It ends this one, if it ends itself."""
        self._see_that_it_is_ours()
        while not self._messages:
            piece = self._sock.recv(_PIECE)
            if not piece:
                os._exit(1)
            self._messages.feed(piece)
        return self._messages.take()

    def _see_that_it_is_ours(self) -> None:
        if os.getpid() != self._pid:
            self._end("a fork that a test has made came back to where the test was called, and was ended there")
        if not is_still(self._sock.fileno(), self._file):
            self._end("the test has closed the descriptor by which its process tells how it goes")

    def _end(self, reason: str) -> NoReturn:
        with contextlib.suppress(Exception):
            os.write(2, f"isoclient: {reason}\n".encode())
        os._exit(70)  # EX_SOFTWARE

    def abandon(self) -> None:
        """In a fork that a test makes: it has nothing to tell."""
        with contextlib.suppress(OSError):
            self._sock.close()


class UnitProcess:
    """The test's end; a process that is ended with it.

    Args:
        main: what the fork does. Whatever comes of it, the fork ends then.

    Attributes:
        pid: its number.
        exitcode: how it ended, negative for a signal; None as long as it runs, or where nobody knows.
    """

    def __init__(self, main: Callable[[UnitLine], object]) -> None:
        self.exitcode: int | None = None
        self._messages = _Messages()
        self._has_ended = self._is_deaf = False
        self._written = ""
        self._belongings = Belongings()
        self._pids: list[int] = []
        self._pidfd = -1
        occupy_standard_streams()
        self._stacks = OutputFile("isoclient-stacks", None, self._belongings)
        self._tasks = OutputFile("isoclient-tasks", None, self._belongings)
        test = os.getpid()
        with forks.start_lock():
            self._sock, theirs = socket.socketpair()
            try:
                with theirs:
                    self._start(BeforeFork(), theirs, main)
            except BaseException:
                if os.getpid() != test:
                    os._exit(1)  # a fork that is interrupted before it comes to its work must not go on as the test
                self.end()
                raise

    def _start(self, before: BeforeFork, theirs: socket.socket, main: Callable[[UnitLine], object]) -> None:
        sentinel, self._lifeline = self._belongings.make_all(os.pipe)
        if fork(self._pids) == 0:
            self._be_the_fork(before, theirs, sentinel, main)
        self._belongings.close_one(sentinel)
        self._sock.setblocking(False)
        if pidfds.are_there():
            self._pidfd = self._belongings.make(os.pidfd_open, self.pid)
        forks.register(self)

    @property
    def pid(self) -> int:
        return self._pids[0]

    def _be_the_fork(
        self, before: BeforeFork, sock: socket.socket, sentinel: int, main: Callable[[UnitLine], object]
    ) -> NoReturn:
        code, say_leaving = 1, None
        try:
            settle(before)
            self._sock.close()
            self._belongings.close_one(self._lifeline)  # from now on, the test's process alone has it
            lifeline.arm(sentinel)
            write_stacks_to(self._stacks.file.descriptor)
            write_tasks_to(self._tasks.file.descriptor)
            note_own_end(self._stacks.file.descriptor, with_stacks=True)
            if before.has_number:
                renumber_this_thread()
            line = UnitLine(sock)
            say_leaving = line.say_leaving
            main(line)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            leave(code, say_leaving)

    # -- messages

    def send(self, *message: Any) -> None:
        """Say something to it. Where it has ended, that is seen by who waits for the answer."""
        self._sock.setblocking(True)
        try:
            with contextlib.suppress(OSError):
                self._sock.send(_written(message), NO_SIGNAL)  # short, and it has room for that
        finally:
            self._sock.setblocking(False)

    def receive(self, seconds: float | None) -> tuple[Any, ...] | None:
        """The next message; None if none comes within this time.

        Raises:
            EOFError: it has ended, and all that it had said has been received.
        """
        message = self._next(seconds)
        if message is not None and message[0] == _LEAVING:  # before its time, for somebody listens still
            self.await_end()
            raise EOFError
        return message

    def _next(self, seconds: float | None) -> tuple[Any, ...] | None:
        deadline = Deadline(seconds)
        while not self._messages:
            if self._has_ended:
                raise EOFError
            self._look(deadline.remaining())
            if deadline.remaining() == 0.0 and not self._has_news():
                return None
        return self._messages.take()

    def _has_news(self) -> bool:
        return self._has_ended or bool(self._messages)

    def _look(self, seconds: float | None) -> None:
        """Wait for something to happen."""
        poll = select.poll()
        if not self._is_deaf:
            poll.register(self._sock, select.POLLIN)
        if self._pidfd >= 0:
            poll.register(self._pidfd, select.POLLIN)
        else:
            seconds = _LOOK if seconds is None else min(_LOOK, seconds)
        found = {descriptor for descriptor, _ in poll.poll(None if seconds is None else ceil(seconds * 1000))}
        if self._pidfd in found or (self._pidfd < 0 and not found):
            self._reap()
        elif found:
            self._read()

    def _read(self) -> bool:
        """Read once; return whether there may be more."""
        if self._is_deaf:
            return False
        try:
            piece = self._sock.recv(_PIECE)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        self._is_deaf = not piece
        self._messages.feed(piece)
        return not self._is_deaf

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has waited for it
            pid, status = self.pid, None
        if pid:
            while self._read():
                pass
            self._has_ended = True
            self.exitcode = None if status is None else os.waitstatus_to_exitcode(status)

    # -- its end

    def has_ended(self) -> bool:
        """Whether it has ended."""
        if not self._has_ended:
            self._reap()
        return self._has_ended

    def await_leaving(self, seconds: float = PATIENCE) -> bool:
        """Wait until one that is about to end has no more to do, or has ended; by force if it takes longer than this.

        Its exit handlers have run then. If it has failed, or was ended by force, it has ended; else that is up to the
        system, and :meth:`has_ended` will say so.

        Returns:
            Whether it came to that by itself.
        """
        deadline, code = Deadline(seconds), None
        try:
            while code is None:
                message = self._next(deadline.remaining())
                if message is None:
                    self.end()
                    return False
                code = message[1] if message[0] == _LEAVING else None
        except EOFError:
            pass
        if code != 0:
            self.await_end()
        return True

    def await_end(self) -> bool:
        """Wait for the end of one that is about to; by force if it takes too long. Return whether it came by itself."""
        deadline = Deadline(PATIENCE)
        while not self._has_ended and deadline.remaining() != 0.0:
            self._look(deadline.remaining())
        by_itself = self._has_ended
        self.end()
        return by_itself

    def interrupt(self) -> None:
        """Send it SIGINT."""
        self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        if not self._has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)  # nobody has waited for it, or else that will show

    def ask_for_stacks(self) -> None:
        """Have it write the stacks of its threads, which :meth:`stacks` has then."""
        if not DUMP_SIGNAL or self._has_ended:
            return
        self._written = ask_for_dump(lambda: self._signal(DUMP_SIGNAL), self._stacks)()

    def ask_for_tasks(self) -> str:
        """Where the tasks of its event loops wait; empty where there are none, or its main thread does not say so."""
        deadline = Deadline(_TELLING)
        if TASKS_SIGNAL and not self._has_ended:
            self._signal(TASKS_SIGNAL)
            while deadline.remaining():
                if (told := self._tasks.since(0)).endswith(THESE_ARE_ALL):
                    return told.removesuffix(THESE_ARE_ALL)
                time.sleep(_MOMENT)
        return ""

    def stacks(self) -> str:
        """The stacks of its threads, as it has written them when it died or when it was asked to."""
        if not self._written:
            self._written = self._stacks.since(0)
        return self._written

    def end(self) -> None:
        """End it by force, with what it has started, and leave nothing of it. Idempotent."""
        if not self._has_ended and self._pids:
            started = _descendants(self.pid)
            self._signal(signal.SIGKILL)
            for pid in started:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            await_death(self._is_dead)
        self.close()

    def _is_dead(self) -> bool:
        self._reap()
        return self._has_ended

    def close(self) -> None:
        """Close the descriptors."""
        self._written = self.stacks()
        forks.forget(self)
        self._pidfd = -1
        self._is_deaf = True
        self._sock.close()
        self._belongings.close()

    def abandon(self) -> None:
        """In a fork: it is none of its business."""
        self._has_ended = True
        self.close()


def _descendants(pid: int) -> list[int]:
    """The processes that it has started, and those that these have; none where that can't be seen."""
    found: list[int] = []
    ahead = [pid]
    while ahead:
        parent = ahead.pop()
        with contextlib.suppress(OSError, ValueError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with io.open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    ahead += (children := [int(word) for word in file.read().split()])
                    found += children
    return found
