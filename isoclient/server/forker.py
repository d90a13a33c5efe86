"""A process that forks others when it is asked to: the fork server, and the templates.

It is asked on a channel, a socket whose other end the test's process alone has; so it needs no name in a file system.
A request comes with descriptors: the first is where the pid is to be told, and in the end the exit code; the others are
for the new process.

This process runs no code of an app. It ends when nobody can ask any more, and all that it has forked have ended.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from array import array
from collections.abc import Callable
from typing import Final, NoReturn

from isoclient.system.modules import os, select, signal, socket

__all__ = ["LONGEST", "TOLD", "Forker", "read_told"]

LONGEST: Final = 64 * 1024
"""Of a request, in bytes."""
TOLD: Final = struct.Struct("q")
"""A pid, or an exit code."""
_ROOM: Final = socket.CMSG_SPACE(16 * struct.calcsize("i")) if hasattr(socket, "CMSG_SPACE") else 0
_CLOEXEC: Final[int] = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Forker:
    """Forks, and watches over what it has forked.

    It learns of the end of its children by SIGCHLD, and waits for whatever child ends: it may be the reaper of others.

    Args:
        channel: where it is asked.
        begin: what a new process does, given its descriptors and the request; it must not return.
    """

    def __init__(self, channel: socket.socket, begin: Callable[[list[int], bytes], NoReturn]) -> None:
        self._channel = channel
        self._begin = begin
        self._is_wanted = True
        self._statuses: dict[int, int] = {}  # for each child, where its exit code is to be told
        self._ends, self._wakeup = os.pipe()
        os.set_blocking(self._ends, False)
        os.set_blocking(self._wakeup, False)
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(self._ends, select.POLLIN)
        self._prepare_signals()

    def _prepare_signals(self) -> None:
        """What an app has imported may have set them up, and its processes shall have them as they were.

        Here a child is to be waited for, and a test that does not want to know of it any more is to be no harm.
        """
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._handlers = {
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, _do_nothing),
            signal.SIGPIPE: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
        }
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def run(self) -> None:
        """Serve until nobody can ask any more, and nothing runs any more."""
        while self._is_wanted or self._statuses:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._ends:
                    self._see_ends()
                else:
                    self._take_request()

    def _take_request(self) -> None:
        request, control, flags, _ = self._channel.recvmsg(LONGEST, _ROOM, _CLOEXEC)
        if not request:
            self._is_wanted = False
            self._poll.unregister(self._channel)
            return
        descriptors = array("i")
        for _, _, data in control:
            descriptors.frombytes(data)
        if not descriptors:
            return  # no room for any: whoever has asked sees that nothing is told
        status, *given = descriptors
        try:
            if flags & socket.MSG_CTRUNC:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            self._fork(status, given, request)
        except OSError as error:
            _tell(status, -(error.errno or errno.EIO))
            os.close(status)
        finally:
            for descriptor in given:
                os.close(descriptor)

    def _fork(self, status: int, given: list[int], request: bytes) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                self._leave_to_the_child(status)
                self._begin(given, request)
            finally:
                os._exit(70)  # EX_SOFTWARE: never reached, were it not for a failure of ours
        self._statuses[pid] = status
        _tell(status, pid)

    def _leave_to_the_child(self, status: int) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            if handler is not None:  # one that C code has set
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        self._channel.close()
        for descriptor in (status, self._ends, self._wakeup, *self._statuses.values()):
            os.close(descriptor)

    def _see_ends(self) -> None:
        os.read(self._ends, 65536)
        with contextlib.suppress(ChildProcessError):  # there are no more
            while True:
                pid, how = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                status = self._statuses.pop(pid, None)
                if status is not None:
                    _tell(status, os.waitstatus_to_exitcode(how))
                    os.close(status)


def _do_nothing(*_: object) -> None:
    """The wakeup descriptor tells."""


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(descriptor, TOLD.pack(number))


def read_told(descriptor: int) -> int:
    """In the test's process: what has been told, the pid or the exit code.

    Instead of the pid, it may be the error number, negated, for which there is no process.

    Raises:
        EOFError: nothing was told, and nothing will be: whoever was to tell it has ended.
    """
    data = os.read(descriptor, TOLD.size)  # which is written at once
    if len(data) < TOLD.size:
        raise EOFError("what starts processes for isoclient has ended")
    number: int = TOLD.unpack(data)[0]
    return number
