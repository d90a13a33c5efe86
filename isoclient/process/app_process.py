"""An app in a process of its own, from its start to the last trace of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from time import monotonic, sleep
from typing import Final

from isoclient.host.boot import Setup
from isoclient.host.child import DUMP_SIGNAL, Descriptors
from isoclient.link import frames
from isoclient.link.codec import PipeCodec
from isoclient.process import forks
from isoclient.process.connection import Connection
from isoclient.process.handle import Death
from isoclient.process.launch import launch
from isoclient.process.output import OutputFile

__all__ = ["AppProcess"]

_TAIL: Final = 16 * 1024
_DUMP_TIME: Final = 0.2


class AppProcess:
    """A child process with a host in it. It is started by the constructor, which does not wait for it to be ready.

    Args:
        method: the start method.
        setup: what to run.

    Raises:
        ObjectNotSendable: the setup can't be sent to a fresh interpreter.
        OSError: the system refuses a new process.
    """

    grace: float = 3.0
    """How long, in seconds, an orderly end may take before SIGTERM, and that before SIGKILL."""

    def __init__(self, method: str, setup: Setup) -> None:
        self.abandoned = False
        self._stdout = OutputFile("isoclient-stdout", "stdout")
        self._stderr = OutputFile("isoclient-stderr", "stderr")
        self._crash = OutputFile("isoclient-crash", None)
        self._closed = False
        self._pidfd = -1
        _flush_standard_streams()
        with forks.start_lock():
            ours, theirs = socket.socketpair()
            self.connection = Connection(ours, PipeCodec())
            forks.register(self)
            given = self._duplicates_for_the_child(theirs)
            try:
                self._popen = launch(method, given, setup)
            except BaseException:
                self._close_descriptors()
                raise
            finally:
                for descriptor in given.all():
                    os.close(descriptor)
            self.pid: int = self._popen.pid
            self._watch()

    def _duplicates_for_the_child(self, theirs: socket.socket) -> Descriptors:
        """Ours are closed in every fork, and so in the child."""
        return Descriptors(
            pipe=theirs.detach(),
            stdout=os.dup(self._stdout.descriptor),
            stderr=os.dup(self._stderr.descriptor),
            crash=os.dup(self._crash.descriptor),
        )

    def _watch(self) -> None:
        # Where there are no pidfds, the end of file is all there is to see.
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(ProcessLookupError):  # dead and reaped already, by the fork server: then EOF tells
                self._pidfd = os.pidfd_open(self.pid)
                self.connection.watch(self._pidfd)

    # -- while it runs

    def sync_output(self) -> None:
        """Pass on what the app has printed to :data:`sys.stdout` and :data:`sys.stderr` as they are now."""
        self._stdout.sync()
        self._stderr.sync()

    # -- when it ends

    def death(self) -> Death:
        """See :meth:`isoclient.process.handle.AppHandle.death`."""
        # The exit status can lag the end of file by a moment. And a process may have closed its end and live on: that
        # can't be reached any more, which is as good as dead.
        if not self._await_exit(1.0):
            self._kill(signal.SIGKILL)
            self._await_exit(1.0)
        self.sync_output()
        return Death(self.pid, self._popen.returncode, self._stderr.tail(_TAIL), self._crash.tail(_TAIL))

    def stop(self) -> None:
        """See :meth:`isoclient.process.handle.AppHandle.stop`."""
        if self.abandoned or self._closed:
            return
        self.connection.try_write(frames.STOP, 0, None)
        if not self._await_exit(self.grace):
            self._kill(signal.SIGTERM)
            if not self._await_exit(0.5):
                self._kill(signal.SIGKILL)
        self._clear_away()

    def stack(self) -> str:
        """See :meth:`isoclient.process.handle.AppHandle.stack`."""
        if not DUMP_SIGNAL:
            return ""
        self._kill(DUMP_SIGNAL)
        # faulthandler writes from the signal handler, even while C code holds the GIL; a stopped process never does.
        end = monotonic() + _DUMP_TIME
        while not (text := self._crash.tail(_TAIL)).endswith("\n") and monotonic() < end:
            sleep(0.005)
        return text

    def kill(self) -> None:
        """See :meth:`isoclient.process.handle.AppHandle.kill`."""
        if not self.abandoned and not self._closed:
            self._kill(signal.SIGKILL)
            self._clear_away()

    def _clear_away(self) -> None:
        self._await_exit(5.0)
        self._end_group()
        self.sync_output()
        self._close_descriptors()

    def _await_exit(self, seconds: float) -> bool:
        """Wait for its end, reading on meanwhile, for it may have to write before it can end; whether it has ended."""
        end = monotonic() + seconds
        while self._popen.poll() is None:
            left = end - monotonic()
            if left <= 0:
                return False
            if self._pidfd < 0:
                sleep(min(0.002, left))
            elif self.connection.discard_until(self._pidfd, left):
                # It has ended. Where poll() does not know how, somebody else has waited for it.
                return self._popen.poll() is not None or _is_gone(self.pid)
        return True

    def _kill(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)

    def _end_group(self) -> None:
        """What the app has started and left behind goes with it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _close_descriptors(self) -> None:
        self._closed = True
        self.connection.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        popen = getattr(self, "_popen", None)
        if popen is not None:
            popen.close()
        for file in (self._stdout, self._stderr, self._crash):
            file.close()

    def abandon(self) -> None:
        """In a fork of this process: see :mod:`isoclient.process.forks`."""
        self.abandoned = True
        with contextlib.suppress(OSError):
            self._close_descriptors()


def _flush_standard_streams() -> None:
    """A fork would inherit, and might write again, what is in their buffers."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
