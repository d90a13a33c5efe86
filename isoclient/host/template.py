"""A process that keeps the app as it is once it has been imported, for others to be forked from.

Importing an app may take a second; a fork takes milliseconds. So the first process of an app that is given as an import
string leaves a copy of itself behind when it has imported it, and goes on. The copy, the *template*, serves the test's
process like a fork server: it is asked for a process on a channel, forks, and tells its pid and, in the end, its exit
code. It runs no code of the app itself, and ends when the test's process has closed the channel, or has died, and when
all that it has started have ended.

There is one only where a fork of it can't be told from a process that imports the app anew: see
:mod:`isoclient.host.footprint`.
"""

from __future__ import annotations

import contextlib
import gc
import struct
from array import array
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from multiprocess import forkserver, resource_tracker

from isoclient.host.ahead import import_ahead
from isoclient.host.footprint import Footprint, Signature
from isoclient.link.system import os, select, signal, socket

if TYPE_CHECKING:
    from isoclient.host.heir import Heir
    from isoclient.host.runtime import Runtime

__all__ = ["LONGEST", "Offer"]

_SIGNED: Final = struct.Struct("q")
"""A pid or an exit code, as multiprocess writes them for whoever has asked its fork server for a process."""

LONGEST: Final = 64 * 1024
"""Of a request, in bytes."""
_ROOM: Final = socket.CMSG_SPACE(16 * struct.calcsize("i")) if hasattr(socket, "CMSG_SPACE") else 0


class Offer:
    """The test's offer to keep a template of what this process imports.

    Args:
        channel: the descriptor on which the template will be asked for processes.
        heir: what they take over.
    """

    def __init__(self, channel: int, heir: Heir) -> None:
        self._channel = channel
        self._heir = heir
        self._footprint: Footprint | None = None

    def watch(self, runtime: Runtime) -> None:
        """The import begins."""
        self._footprint = Footprint(runtime.imprint)

    def take(self, runtime: Runtime) -> dict[str, Signature] | None:
        """The import is done: leave a template behind, if one can be.

        Returns:
            The files that it depends on; None if there is no template. It does not return in the template itself.
        """
        import_ahead()  # as a part of what is watched, and said again
        files = self._footprint.files() if self._footprint is not None else None
        try:
            if files is not None and self._heir.gather():
                _leave_behind(partial(self._be_the_template, runtime))
            else:
                files = None
        except OSError:  # no more processes: then there is no template
            files = None
        self.close()
        return files

    def close(self) -> None:
        """Decline the offer, if it has not been taken. Idempotent."""
        if self._footprint is not None:
            self._footprint.close()
        channel, self._channel = self._channel, -1
        if channel >= 0:
            os.close(channel)

    def _be_the_template(self, runtime: Runtime) -> None:
        _close([*self._heir.descriptors(), *runtime.descriptors()])
        gc.freeze()  # so that the collector does not write to memory that the forks would share otherwise
        _Server(socket.socket(fileno=self._channel), self._heir).run()


def _leave_behind(run: Callable[[], None]) -> None:
    """Run this in a copy of this process, which is not its child: the app need not know of it."""
    between = os.fork()
    if between == 0:
        try:
            # Before this process knows of the copy, which is to stay when its group is ended with it.
            os.setpgid(0, 0)
            if os.fork() == 0:
                os.setpgid(0, 0)
                run()
        finally:
            os._exit(0)
    with contextlib.suppress(ChildProcessError):  # an app that ignores SIGCHLD
        os.waitpid(between, 0)


def _close(descriptors: list[int]) -> None:
    """Those of a process that goes on, which the copy must not keep; and say nothing in its files."""
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker
    for descriptor in (*descriptors, server._forkserver_alive_fd, tracker._fd):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    # multiprocess would write to them.
    server._forkserver_alive_fd = server._forkserver_address = tracker._fd = None
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)


class _Server:
    """Forks, and watches over what it has forked.

    Args:
        channel: takes requests, each in one packet, with descriptors: the one on which the pid and the exit code are to
            be told comes first, the rest are the new process's.
        heir: what new processes take over.
    """

    def __init__(self, channel: socket.socket, heir: Heir) -> None:
        self._channel = channel
        self._heir = heir
        self._is_wanted = True
        # The app may have handlers for them, and its processes shall have these again. Here a child is to be waited
        # for, and a test that does not want to know of it any more is to be no harm.
        self._of_the_app = {
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, signal.SIG_DFL),
            signal.SIGPIPE: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
        }
        self._children: dict[int, tuple[int, int]] = {}  # a pidfd: the pid, and where its exit code is to be told
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)

    def run(self) -> None:
        """Serve until nobody can ask any more, and nothing runs any more."""
        while self._is_wanted or self._children:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._channel.fileno():
                    self._take_request()
                else:
                    self._see_end(descriptor)

    def _take_request(self) -> None:
        request, control, _, _ = self._channel.recvmsg(LONGEST, _ROOM, socket.MSG_CMSG_CLOEXEC)
        if not request:
            self._is_wanted = False
            self._poll.unregister(self._channel)
            return
        descriptors = array("i")
        for _, _, data in control:
            descriptors.frombytes(data)
        status, *given = descriptors
        try:
            self._fork(status, given, request)
        except OSError:  # no more processes, or descriptors: whoever has asked sees that the pid does not come
            os.close(status)
        finally:
            for descriptor in given:
                os.close(descriptor)

    def _fork(self, status: int, given: list[int], request: bytes) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                self._leave_to_the_child(status)
                self._heir.begin(given, request)
            finally:
                os._exit(70)  # EX_SOFTWARE: never reached, were it not for a failure of ours
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid, status
        self._poll.register(pidfd, select.POLLIN)
        _tell(status, pid)

    def _leave_to_the_child(self, status: int) -> None:
        for number, handler in self._of_the_app.items():
            if handler is not None:  # one that C code has set
                signal.signal(number, handler)
        self._channel.close()
        os.close(status)
        for pidfd, (_, other) in self._children.items():
            os.close(pidfd)
            os.close(other)

    def _see_end(self, pidfd: int) -> None:
        pid, status = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, how = os.waitpid(pid, 0)
        _tell(status, os.waitstatus_to_exitcode(how))
        os.close(status)


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(descriptor, _SIGNED.pack(number))
