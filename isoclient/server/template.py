"""A process that keeps the app as it is once it has been imported, for others to be forked from.

Importing an app may take a second; a fork takes milliseconds. So the first process of an app that is given as an import
string leaves a copy of itself behind when it has imported it, and goes on. The copy, the *template*, serves the test's
process like the fork server (see :mod:`isoclient.server.forker`), on a channel by which it was told of before. Each
process that it forks says again what importing the app has said, and has the hooks of the side channel in place.

There is one only where a fork of it can't be told from a process that imports the app anew: see
:mod:`isoclient.server.import_watch`.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import zlib
from typing import Any, Final, NoReturn

from isoclient.server import child
from isoclient.server.child import Descriptors, Said
from isoclient.server.forker import Forker
from isoclient.server.import_watch import Dependencies, ImportWatch
from isoclient.server.preimports import import_ahead
from isoclient.server.runtime import Runtime
from isoclient.server.setup import Setup
from isoclient.server.side_channel import SideChannel
from isoclient.system.modules import os, pickle, socket

__all__ = ["CURRENT_TEST", "TemplateMaker", "request"]

CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
"""Other in each test, and set for whoever wants to know of it."""

_MOST: Final = 4 * 2**20  # bytes; of more, the beginning may be gone when it has been read


class TemplateMaker:
    """Imports the app, and leaves a template behind if one will do.

    Args:
        channel: the descriptor on which the template will be asked for processes.
        descriptors: those of this process.
        sentinel: its sentinel.
        side: its side channel, whose hooks are in place.
    """

    def __init__(self, channel: int, descriptors: Descriptors, sentinel: int, side: SideChannel) -> None:
        self._channel = socket.socket(fileno=channel)
        self._descriptors = descriptors
        self._sentinel = sentinel
        self._side = side
        self._directory = os.getcwd()
        self._has_moved = False
        self._said: Said = b"", b"", b""

    def find(self, setup: Setup, runtime: Runtime) -> Any:
        """Import the app, and return it, or its factory. It does not return in the template itself."""
        try:
            watch = ImportWatch(runtime.imprint)
            found = setup.find()
            import_ahead()  # as a part of what is watched, and said again
            self._leave_behind(watch.dependencies(), runtime)
            return found
        finally:
            with contextlib.suppress(OSError):  # an app may have closed all descriptors
                self._channel.close()

    def _leave_behind(self, depends_on: Dependencies | str, runtime: Runtime) -> None:
        if isinstance(depends_on, str):
            return self._tell(depends_on)
        try:
            self._has_moved = os.getcwd() != self._directory
            self._said = _content(1), _content(2), _content(self._descriptors.journal)
            if max(map(len, self._said)) > _MOST:
                return self._tell("importing it says more than can be said again")
            self._fork(depends_on, runtime)
        except OSError as error:
            self._tell(f"it could not be left behind: {error}")

    def _tell(self, depends_on: Dependencies | str, pid: int = 0) -> None:
        """Tell the test the pid of a template and what it depends on; or 0, and why there is none. Never blocks."""
        try:
            told = zlib.compress(marshal.dumps((pid, depends_on)))
            self._channel.send(told, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:  # it is too much, or nobody wants to know any more
            if pid:
                self._tell(f"it could not be told of: {error}")

    def _fork(self, depends_on: Dependencies | str, runtime: Runtime) -> None:
        """Become two, of which the other is no child of this one: the app need not know of it.

        It is the process between them that tells of the template: so that is told when the app's process is ready.
        """
        between = os.fork()
        if between == 0:
            try:
                # Before this process knows of the copy, which is to stay when its group is ended with it.
                os.setpgid(0, 0)
                pid = os.fork()
                if pid == 0:
                    os.setpgid(0, 0)
                    self._be_the_template(runtime)
                else:
                    self._tell(depends_on, pid)
            finally:
                os._exit(0)
        with contextlib.suppress(ChildProcessError):  # an app that ignores SIGCHLD
            os.waitpid(between, 0)

    def _be_the_template(self, runtime: Runtime) -> None:
        _close([self._descriptors.journal, self._descriptors.crash, self._sentinel, *runtime.descriptors()])
        gc.freeze()  # so that the collector does not write to memory that the forks would share otherwise
        Forker(self._channel, self._begin).run()

    def _begin(self, given: list[int], asked: bytes) -> NoReturn:
        """Be a new process of the app, given the sentinel, the directory, and the rest; see :func:`request`."""
        sentinel, directory, *own = given
        setup, current_test = pickle.loads(asked)
        if not self._has_moved:
            os.fchdir(directory)  # it has the same name, but may be another one
        os.close(directory)
        if current_test is not None:
            os.environ[CURRENT_TEST] = current_test
        child.take_over(Descriptors(*own), self._side, self._said, lambda: Setup.unpack(setup), sentinel)


def request(setup: bytes) -> bytes:
    """What a template is to be asked for.

    Args:
        setup: what to run, packed.
    """
    return pickle.dumps((setup, os.environ.get(CURRENT_TEST)))


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _close(descriptors: list[int]) -> None:
    """Those of a process that goes on, which the copy must not keep; and say nothing in its files."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
