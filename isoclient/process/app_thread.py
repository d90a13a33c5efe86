"""An app in a thread of this process: the same server, over the same wire."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from isoclient.compat.python_threads import Thread
from isoclient.drive.blocking import read_until_lost
from isoclient.drive.connection import Connection
from isoclient.mirror.context_variables import context_of_test
from isoclient.process.handle import PATIENCE, ProcessStatus
from isoclient.process.stacks import app_stacks, spot_in
from isoclient.server.boot import serve
from isoclient.server.runtime import Pipe
from isoclient.server.setup import Setup
from isoclient.system import forks
from isoclient.system.lift import Patches
from isoclient.system.modules import os, socket, threading, time
from isoclient.system.standard_streams import occupy_standard_streams
from isoclient.system.thread_frames import stack_of
from isoclient.transit.codecs import LocalCodec

__all__ = ["AppThread"]

_HEAD: Final = "Thread of the app (most recent call first):\n"


class AppThread:
    """A thread with a server in it.

    A thread can't be ended by force. An app that blocks its loop for ever keeps its thread, which is a daemon, so that
    the interpreter can end all the same.

    Args:
        setup: what to run.

    Raises:
        OSError: the system refuses a new thread.
    """

    force = "and a thread can't be ended by force, so it stays"
    grace: Final = 3.0
    start_time: float = 10.0

    def __init__(self, setup: Setup) -> None:
        self.pid = os.getpid()
        self.abandoned = False
        self.lacking: Sequence[str] = ()
        self.is_told = False
        self.shares_locals = True
        self._setup = setup
        self._stopped = False
        self._has_started = False
        self._codec = LocalCodec()
        self._outcome = _Outcome()

    def start(self) -> None:
        """See :meth:`isoclient.process.handle.AppHandle.start`."""
        occupy_standard_streams()
        ours, self._theirs = socket.socketpair()
        self.connection = Connection(ours, self._codec)
        forks.register(self)
        # It does not know this object, which can be collected therefore: the thread ends by that.
        run = partial(context_of_test().run, _run, self._theirs, self._setup, self._codec, self._outcome)
        try:
            with Patches():
                self._thread = Thread(target=run, name="isoclient-app", daemon=True)
                self._thread.start()
        except BaseException as error:
            self.kill()
            if isinstance(error, RuntimeError):  # "can't start new thread", and nothing else about it
                raise OSError(errno.EAGAIN, str(error)) from error
            raise
        del self._setup  # it goes with the app
        self._has_started = True

    def _has_ended(self, seconds: float) -> bool:
        """Wait for its end, but so long; return whether it has come."""
        outcome = self._outcome
        if not outcome.has_come:
            if not outcome.running.acquire(timeout=seconds):
                return False
            outcome.running.release()
        with Patches():
            self._thread.join()  # it has nothing left to do
        return True

    def sync_output(self, seconds: float | None = PATIENCE) -> None:
        """There is nothing to pass on: the app prints where the test does."""

    def final_status(self) -> ProcessStatus:
        """See :meth:`isoclient.process.handle.AppHandle.final_status`."""
        self._has_ended(1.0)
        return ProcessStatus(self.pid, None, "", "", self._outcome.error)

    def stop(self, *, takes_word: bool = False) -> ProcessStatus | None:
        """See :meth:`isoclient.process.handle.AppHandle.stop`. A thread leaves nothing to the system."""
        if self.abandoned or self._stopped:
            return None
        if not self._has_started:
            self.kill()
            return None
        try:
            return self._stop()
        except BaseException:
            self.kill()  # whoever interrupts this does not want to wait
            raise

    def _stop(self) -> ProcessStatus | None:
        status = None
        self.connection.ask_to_end()
        if threading.get_ident() != self._thread.ident:  # a client may be collected on the app's own thread
            # It may have to write before it can end, and its last word is the end of file.
            end = time.monotonic() + (0.0 if self.connection.stuck else self.grace)
            read_until_lost(self.connection, max(0.0, end - time.monotonic()))
            if not self._has_ended(max(0.2, end - time.monotonic())):
                status = ProcessStatus(self.pid, None, "", self.stack(), forced=True)
                spot = spot_in(status.stack)
                status.held_up = f"it is at {spot}" if spot is not None else ""
            elif self._outcome.error is not None and not self.is_told:
                status = self.final_status()
        self.connection.close()
        self._stopped = self.is_told = True
        return status

    def limit_reached(self) -> str | None:
        """See :meth:`isoclient.process.handle.AppHandle.limit_reached`. A thread has no limits."""
        return None

    def stack(self) -> str:
        """See :meth:`isoclient.process.handle.AppHandle.stack`."""
        lines = [
            f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}\n'
            for frame in stack_of(self._thread.ident)
        ]
        return app_stacks("".join([_HEAD, *lines])) if lines else ""

    def ask_for_stack(self) -> Callable[[], str]:
        """See :meth:`isoclient.process.handle.AppHandle.ask_for_stack`."""
        return self.stack

    def status(self) -> ProcessStatus | None:
        """See :meth:`isoclient.process.handle.AppHandle.status`."""
        return None

    def kill(self) -> None:
        """See :meth:`isoclient.process.handle.AppHandle.kill`. The thread ends when the app lets it."""
        if self.abandoned or self._stopped:
            return
        if hasattr(self, "connection"):
            self.connection.close(in_order=False)
        if not self._has_started and hasattr(self, "_theirs") and self._outcome.is_claimed_by("the test"):
            self._theirs.close()  # its start was interrupted, and there is no thread, or one that will do nothing
        self._stopped = self.is_told = True

    def abandon(self) -> None:
        """In a fork of this process, where the thread is not: see :mod:`isoclient.system.forks`."""
        self.abandoned = True
        self.connection.abandon()
        self._theirs.close()


class _Outcome:
    """What the thread leaves.

    Attributes:
        error: what has ended its event loop.
        has_come: whether it has ended.
        running: a lock that is held until then.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.has_come = False
        self.running = threading.Lock()
        self.running.acquire()
        self._claim: dict[str, str] = {}

    def is_claimed_by(self, who: str) -> bool:
        """Whether the socket of the thread is for this one to close; it is for whoever asks first."""
        return self._claim.setdefault("socket", who) == who


def _run(sock: socket.socket, setup: Setup, codec: LocalCodec, outcome: _Outcome) -> None:
    try:
        if outcome.is_claimed_by("the thread"):
            with sock:
                serve(Pipe(sock, codec), lambda: setup)
    except BaseException as error:
        outcome.error = error
    finally:
        outcome.has_come = True
        outcome.running.release()
