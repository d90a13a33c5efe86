"""An app in a process of its own, from its start to the last trace of it."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from isoclient.drive.blocking import read_until_lost
from isoclient.drive.connection import Connection
from isoclient.drive.failures import ConnectionLost, CutOff, Reentered
from isoclient.drive.terminal import Terminal
from isoclient.drive.waiting import Deadline
from isoclient.mirror.mirrored import Context
from isoclient.mirror.mirrors import ClientMirror
from isoclient.mirror.shared_primitives import PACE
from isoclient.process.departed import departed
from isoclient.process.dumps import ask_for_dump
from isoclient.process.exhaustion import Watch, is_at_work, processor_time
from isoclient.process.handle import PATIENCE, ProcessStatus
from isoclient.process.journal_file import JournalFile
from isoclient.process.lost_threads import work_of_others
from isoclient.process.output import TAIL, OutputFile
from isoclient.process.popen import AppPopen
from isoclient.process.reaper import Reaper
from isoclient.process.stacks import app_stacks, last_words, spot_in, thread_in
from isoclient.server.child import DUMP_SIGNAL, Descriptors
from isoclient.server.held_up import waited_for_noted
from isoclient.server.hooks import END_TIME, hooks
from isoclient.server.limits import limit_noted
from isoclient.server.own_end import own_end_noted
from isoclient.server.preimports import import_ahead
from isoclient.server.setup import Setup
from isoclient.system import forks
from isoclient.system.descriptors import Belongings
from isoclient.system.modules import os, signal, socket
from isoclient.system.shared_files import SharedFile
from isoclient.system.standard_streams import occupy_standard_streams
from isoclient.transit.codecs import PipeCodec

__all__ = ["EXTENSIONS", "AppProcess"]

Launch = Callable[[Descriptors, Context, Setup], AppPopen]

EXTENSIONS: Final = 3  # how often an app gets its time once more, on a machine that does not let it use that
_SOON: Final = 0.1  # seconds in which an app ends that has nothing to do for it
_EXIT_TIME: Final = 0.5
_TERM_TIME: Final = 0.5
_LAST: Final = 5.0  # seconds that it may take to pass on what a process had left to say when it ended
_AT_ONCE: Final = 1.5  # seconds for an orderly end after Ctrl-C; the calls under way may take 1 s of them
_STACKS: Final = 2**20  # bytes of what it writes as it dies: a hundred frames of each thread, by paths of any length
_WHY: Final = "for it had closed its end of the pipe to the test"
_WHAT: Final = {
    True: "it had put something else than a message on the pipe to the test",
    False: "the test was interrupted amid a message",
}
_MUTE: Final = (
    "(no stack: the process has not got as far as the app, where a fork may wait for ever for a lock that another "
    "thread held, or it no longer catches the signal that asks for its stack)"
)


class AppProcess:
    """A child process with a server in it.

    Whatever interrupts its start or its end, it owns what there is of it still, until nothing is left: to stop it again
    goes on with that.

    Args:
        setup: what to run.
        launch: starts the process.
        is_snapshot: whether it begins as a copy of this one.
    """

    force = "so its process was ended"
    grace: float = 3.0
    """How long, in seconds, an orderly end may take before SIGTERM, and that before SIGKILL."""
    start_time: float = 10.0
    """How long, in seconds, it may take at least to be ready, however short the timeout of its client."""

    connection: Connection
    pid: int

    def __init__(self, setup: Setup, launch: Launch, *, is_snapshot: bool) -> None:
        self.abandoned = False
        self.is_told = False
        self.lacking: Sequence[str] = ()
        self.shares_locals = True
        self._setup = setup
        self._launch = launch
        self._is_snapshot = is_snapshot
        self._closed = False  # nothing can be read from it any more
        self._is_over = False
        self._forced = False
        self._has_heard = True  # of its end, when it was ended by force
        self._files = Belongings()
        self._popen: AppPopen | None = None
        self._reaper: Reaper | None = None
        self._known_status: ProcessStatus | None = None
        self._mirror = ClientMirror(fresh=not is_snapshot, app=None if setup.factory else setup.app)
        self._watch = Watch(setup.limits) if setup.limits is not None else None
        self._stack_then = ""  # when it was ended beyond a limit

    def start(self) -> None:
        """See :meth:`isoclient.process.handle.AppHandle.start`.

        Raises:
            ObjectNotSendable: the setup can't be sent to a fresh interpreter.
            OSError: the system refuses a new process.
        """
        occupy_standard_streams()
        if self._is_snapshot and self._setup.backend == "asyncio":
            import_ahead()
        try:
            self._make_files()
            _flush_standard_streams()
            if self._is_snapshot:
                self.lacking = work_of_others()
            with forks.start_lock():
                self._connect_and_launch()
            del self._setup  # what the app refers to is not to wait for the garbage collector, as this will
            departed.await_all()  # which takes no time of its own: the new one is on its way meanwhile
        except BaseException:
            self._give_up()
            raise

    def _make_files(self) -> None:
        self._stdout = OutputFile("isoclient-stdout", "stdout", self._files)
        self._stderr = OutputFile("isoclient-stderr", "stderr", self._files)
        self._crash = OutputFile("isoclient-crash", None, self._files)
        self._journal = JournalFile(_weakly(self._pass_on), self._mirror.replay, self._files)
        self._mirror.read_journal_by(self._journal.sync_unless_busy)

    def _connect_and_launch(self) -> None:
        ours, theirs = socket.socketpair()
        codec = PipeCodec(same_main=self._is_snapshot, has_mock=self._mirror.has_mock)
        if self.shares_locals:
            self._mirror.share_locals(codec)
        self.connection = connection = Connection(
            ours,
            codec,
            tell_news=self._mirror.tell_news,
            meanwhile=_weakly(self._look_after),
            terminal=Terminal(_weakly(self.sync_output)),
        )
        forks.register(self)
        belongings = Belongings()  # the child's, which gets duplicates: ours are closed in every fork, and so in it
        try:
            files = (self._stdout, self._stderr, self._crash, self._journal)
            given = Descriptors(
                belongings.make(theirs.detach), *(belongings.make(os.dup, file.file.descriptor) for file in files)
            )
            self._popen = self._launch(given, self._mirror.first(), self._setup)
        finally:
            belongings.close()
        if self._mirror.is_live:
            connection.pace = PACE
        self.pid = self._popen.pid
        self._reaper = Reaper(self._popen, connection)

    def _give_up(self) -> None:
        """Its start has failed, or has been interrupted: nothing of it is to be left."""
        if self._popen is not None:
            self._popen.end()
        self._close_descriptors()

    # -- while it runs

    def sync_output(self, seconds: float | None = PATIENCE) -> None:
        """Pass on what the app has printed to :data:`sys.stdout` and :data:`sys.stderr` as they are now.

        And what is in its journal to the handlers of logging, and so on: what there is now, for an app may go on for
        ever, and as far as the time suffices.
        """
        if not (self._journal.entries or _have_news(self._journal.file, self._stdout.file, self._stderr.file)):
            return
        deadline = Deadline(seconds)
        # In this order, so that what had been printed before an entry is within the ends.
        journal, stdout, stderr = self._journal.file.size, self._stdout.file.size, self._stderr.file.size
        try:
            self._journal.sync(journal, deadline)
        finally:
            self._stdout.sync(stdout, deadline)
            self._stderr.sync(stderr, deadline)

    def _pass_on(self, stdout: int, stderr: int, deadline: Deadline) -> None:
        """Pass on so much of what the app has printed."""
        self._stdout.sync(stdout, deadline)
        self._stderr.sync(stderr, deadline)

    def _look_after(self) -> None:
        """Called while the app is waited for: it may print and log without end meanwhile, or hang beyond a limit."""
        for owner in (self._stdout, self._stderr, self._crash, self._journal):
            owner.file.keep_newest()
        if self._is_hung_beyond_a_limit():
            self._stack_then = self.stack()
            self._signal(signal.SIGKILL)
        if self._mirror.is_live and self.connection.mux.streams:
            self._exchange_news()

    def _exchange_news(self) -> None:
        """The test and the app may wait for each other by what they share."""
        self._journal.sync_unless_busy()
        with contextlib.suppress(ConnectionLost, Reentered):  # which is for whoever waits to find out
            self.connection.begin_sending()
            self.connection.try_flush()

    def _is_hung_beyond_a_limit(self) -> bool:
        if self._watch is None or self.connection.server.exiting or self._is_out_of_reach:
            return False
        return self._watch.is_overdue(self.pid, limit_noted(self._crash.tail(_STACKS)))

    @property
    def _is_out_of_reach(self) -> bool:
        return self._closed or self._reaper is None

    def limit_reached(self) -> str | None:
        """See :meth:`isoclient.process.handle.AppHandle.limit_reached`."""
        if self._watch is None or self._is_out_of_reach:
            return None
        return limit_noted(self._crash.tail(_STACKS)) or self._watch.overrun_once(self.pid)

    def stack(self) -> str:
        """See :meth:`isoclient.process.handle.AppHandle.stack`."""
        return self.ask_for_stack()()

    def ask_for_stack(self) -> Callable[[], str]:
        """See :meth:`isoclient.process.handle.AppHandle.ask_for_stack`."""
        silent = self._why_mute()
        if silent is not None:
            return lambda: silent
        tell = ask_for_dump(lambda: self._signal(DUMP_SIGNAL), self._crash)
        return lambda: app_stacks(tell())

    def _why_mute(self) -> str | None:
        """Why it can't tell its stack, in words that may be empty; None if it can."""
        if self._reaper is None or not DUMP_SIGNAL:
            return ""
        if self._reaper.is_stopped():
            return "(the process is stopped, by SIGSTOP or the like, and can't tell)"
        # The signal would end one that does not catch it, and nothing be told.
        return None if self._reaper.catches(DUMP_SIGNAL) else _MUTE

    def _signal(self, number: int) -> None:
        if self._reaper is not None:
            self._reaper.signal(number)

    # -- when it ends

    def final_status(self) -> ProcessStatus:
        """See :meth:`isoclient.process.handle.AppHandle.final_status`."""
        lost = self.connection.lost
        cause = lost.__cause__ if lost is not None else None
        # The exit status can lag the end of file by a moment. And a process may have closed its end and live on, or
        # have put something else than frames on it: that can't be reached any more, which is as good as dead.
        if self._reaper is None or self._reaper.wait(_EXIT_TIME if cause is None else 0.0):
            return self._read_status()
        self._reaper.signal(signal.SIGKILL)
        self._reaper.wait(1.0)
        status = self._read_status()
        status.why = _WHY if cause is None else f"for {_WHAT[not isinstance(cause, CutOff)]} ({cause!r})"
        return status

    def _read_status(self) -> ProcessStatus:
        if self._closed and self._known_status is not None:
            return self._known_status  # the files that it was read from are closed
        deadline = Deadline(PATIENCE if self._forced else _LAST)
        self._journal.sync_at_the_end(deadline)
        self._mirror.end()
        self._stdout.sync_at_the_end(deadline)
        self._stderr.sync_at_the_end(deadline)
        exitcode = self._reaper.exitcode if self._reaper is not None else None
        stack, stderr = self._crash.tail(_STACKS), self._stderr.tail(TAIL)
        limit = limit_noted(stack) or (
            self._watch.limit_of_death(exitcode, stderr) if self._watch is not None else None
        )
        own_end = None if self._forced else own_end_noted(stack, exitcode)
        if not self._forced:
            stack = self._stack_then or last_words(stack, exitcode)
        self._known_status = ProcessStatus(self.pid, exitcode, stderr, app_stacks(stack), forced=self._forced)
        self._known_status.limit = limit
        self._known_status.own_end = own_end
        return self._known_status

    def status(self) -> ProcessStatus | None:
        """See :meth:`isoclient.process.handle.AppHandle.status`."""
        if self._closed or self._reaper is None:
            return self._known_status
        self._reaper.wait(0.0)  # so that one that has just died is not said to run
        exitcode, written = self._reaper.exitcode, self._crash.tail(_STACKS)
        stack = app_stacks(last_words(written, exitcode))
        status = ProcessStatus(self.pid, exitcode, self._stderr.tail(TAIL), stack)
        status.own_end = own_end_noted(written, exitcode)
        return status

    def stop(self, *, takes_word: bool = False) -> ProcessStatus | None:
        """See :meth:`isoclient.process.handle.AppHandle.stop`."""
        if self.abandoned or self._is_over:
            return None
        if self._closed or self._reaper is None:
            self._give_up()  # where its start or its end has been interrupted
            return None
        self._reaper.takes_word = takes_word
        try:
            return self._stop(self._reaper)
        except BaseException:
            # Whoever interrupts this does not want to wait; and what can't be told is not worth an app that is left.
            with contextlib.suppress(Exception):
                self.kill()
            raise

    def _stop(self, reaper: Reaper) -> ProcessStatus | None:
        connection, was_cut_off = self.connection, self._is_cut_off
        was_told = self.is_told or was_cut_off
        has_died = self._has_died(reaper)
        status = self.final_status() if has_died else self._end(reaper)
        status.asked = connection.has_heard_of_its_end
        self._clear_away(in_order=not (has_died or was_cut_off or connection.server.exiting))
        self.is_told = True
        # One that could not be loaded has told so, and ends with an exit code. One that was still on its way up has not
        # heard of its end, and nobody has used it: it need not have ended in order.
        if was_told or connection.server.failure is not None or (status.forced and not self._has_heard):
            return None
        return None if status.asked and not status.forced and not status.exitcode else status

    def _has_died(self, reaper: Reaper) -> bool:
        """Whether that is seen, before it is asked to end."""
        if self.connection.lost is not None:
            return not self._is_cut_off
        return not self.connection.has_prompt and reaper.wait(0.0)

    @property
    def _is_cut_off(self) -> bool:
        """Whether the test was interrupted amid a message, which it knows: by what has been raised there."""
        return self.connection.lost is not None and isinstance(self.connection.lost.__cause__, CutOff)

    def _end(self, reaper: Reaper) -> ProcessStatus:
        self.connection.ask_to_end()
        if not self._ends(reaper):
            self._has_heard = self.connection.server.ready
            return self._force(reaper)
        if not reaper.has_departed:
            read_until_lost(self.connection, _EXIT_TIME)  # another thread may be about to read its last words
        return self._read_status()

    def _ends(self, reaper: Reaper) -> bool:
        was_ready = self.connection.server.ready
        if reaper.wait(min(_SOON, self._patience)):
            return True  # as nearly all do, and need not be looked at
        before = processor_time(self.pid)
        if reaper.wait(self._patience):
            return True
        # One that has come up meanwhile may have heard of its end just now.
        if not was_ready and self.connection.server.ready and reaper.wait(self._patience):
            return True
        return any(self._is_starved(before) and reaper.wait(self._patience) for _ in range(EXTENSIONS))

    def _is_starved(self, before: float) -> bool:
        """Whether it would go on if it got a processor, and has got one for less than a quarter of its time."""
        had = processor_time(self.pid) - before
        return self._patience >= self.grace and had < self.grace / 4 and is_at_work(self.pid)

    @property
    def _patience(self) -> float:
        if self.connection.stuck:
            return 0.0
        return _AT_ONCE if self.connection.interrupted else self.grace + (END_TIME if hooks.end else 0.0)

    def _force(self, reaper: Reaper) -> ProcessStatus:
        # What it has been beyond once, and lived on, has nothing to do with its end.
        limit = limit_noted(self._crash.tail(_STACKS)) or (
            self._watch.overrun(self.pid) if self._watch is not None else None
        )
        stack = self.stack()
        held_up = self._held_up(stack)
        self._forced = True
        reaper.signal(signal.SIGTERM)
        if reaper.is_stopped() or not reaper.wait(_TERM_TIME):  # one that is stopped takes no other signal
            reaper.signal(signal.SIGKILL)
            reaper.wait(5.0)
        status = ProcessStatus(self.pid, reaper.exitcode, self._stderr.tail(TAIL), stack, forced=limit is None)
        status.limit = limit
        status.held_up = held_up
        return status

    def _held_up(self, stack: str) -> str:
        """What it waits for, of what it has noted that it is to wait for; or where it is."""
        found = []
        for kind, identifier, name in waited_for_noted(self._crash.tail(_STACKS)):
            thread = thread_in(stack, identifier) if kind == "thread" else None
            if thread is not None:
                spot = spot_in(thread)
                found.append(f"the thread {name!r}" + (f", at {spot}" if spot is not None else ""))
            elif kind == "process":
                found.append(f"its child {name!r} (pid {identifier})")
        spot = spot_in(stack)
        return "it waits for " + " and ".join(found) if found else f"it is at {spot}" if spot is not None else ""

    def kill(self) -> None:
        """See :meth:`isoclient.process.handle.AppHandle.kill`."""
        if self.abandoned or self._is_over:
            return
        if self._closed or self._reaper is None:
            self._give_up()
            return
        self._forced = self.is_told = True
        self._reaper.signal(signal.SIGKILL)
        self._clear_away(in_order=False)

    def _clear_away(self, *, in_order: bool) -> None:
        if self._reaper is not None:
            self._reaper.wait(5.0)
        try:
            self._read_status()  # while it can still be read, for those who ask later
        finally:
            self._close_descriptors(in_order=in_order)

    def _close_descriptors(self, *, in_order: bool = False) -> None:
        self._closed = True
        if hasattr(self, "connection"):
            self.connection.close(in_order=in_order)
        if self._reaper is not None:
            self._reaper.close()
        self._files.close()
        self._mirror.close()
        forks.forget(self)
        self._is_over = True

    def abandon(self) -> None:
        """In a fork of this process: see :mod:`isoclient.system.forks`."""
        self.abandoned = self._closed = True
        self.connection.abandon()
        with contextlib.suppress(OSError):
            if self._reaper is not None:
                self._reaper.abandon()
            self._files.close()


def _weakly(method: Callable[..., object]) -> Callable[..., object]:
    """A method without a reference to its object, for what the object has: the two are not to wait for the collector.

    What has ended is gone then with the last who knows of it, and not in the memory that the next fork has to copy.
    """
    reference = weakref.WeakMethod(method)

    def call(*args: Any) -> object:
        method = reference()
        return None if method is None else method(*args)

    return call


def _flush_standard_streams() -> None:
    """A fork would inherit, and might write again, what is in their buffers."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()


def _have_news(*files: SharedFile) -> bool:
    """Whether there is something to be read in any; nearly always there is not, and this is asked for each request."""
    for file in files:
        mark = file.mark
        try:
            if os.pread(file.descriptor, 2, file.position - len(mark)) != mark:
                return True
        except OSError:  # closed
            if mark:
                return True
    return False
