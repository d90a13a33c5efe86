"""A process that keeps the app as it is once it has been imported, for others to be forked from.

Importing an app may take a second; a fork takes milliseconds. So the first process of an app that is given as an import
string leaves a copy of itself behind when it has imported it, and goes on. The copy, the *template*, serves the test's
process like the fork server, when it has told its pid: see :mod:`isoclient.server.forker`. Each process that it forks
says again what importing the app has said, and has the hooks of the side channel in place.

There is one only where a fork of it can't be told from a process that imports the app anew: see
:mod:`isoclient.server.import_watch`.
"""

from __future__ import annotations

import contextlib
import gc
from typing import Any, Final, NoReturn

from isoclient.server import child
from isoclient.server.child import Descriptors, Said
from isoclient.server.forker import TOLD, Forker
from isoclient.server.import_watch import Dependencies, ImportWatch
from isoclient.server.preimports import import_ahead
from isoclient.server.runtime import Runtime
from isoclient.server.setup import Setup
from isoclient.server.side_channel import SideChannel
from isoclient.system.modules import os, pickle, socket
from isoclient.transit import unpack_object

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
        self._channel = channel
        self._descriptors = descriptors
        self._sentinel = sentinel
        self._side = side
        self._directory = os.getcwd()
        self._has_moved = False
        self._said: Said = b"", b"", b""

    def find(self, setup: Setup, runtime: Runtime) -> tuple[Any, Dependencies | str]:
        """Import the app.

        Returns:
            It, or its factory; and what the template depends on, or why there is none. It does not return in the
            template itself.
        """
        watch = ImportWatch(runtime.imprint)
        try:
            found = setup.find()
            import_ahead()  # as a part of what is watched, and said again
            return found, self._leave_behind(watch.dependencies(), runtime)
        finally:
            watch.close()
            with contextlib.suppress(OSError):  # an app may have closed all descriptors
                os.close(self._channel)

    def _leave_behind(self, depends_on: Dependencies | str, runtime: Runtime) -> Dependencies | str:
        if isinstance(depends_on, str):
            return depends_on
        try:
            self._has_moved = os.getcwd() != self._directory
            self._said = _content(1), _content(2), _content(self._descriptors.journal)
            if max(map(len, self._said)) > _MOST:
                return "importing it says more than can be said again"
            self._fork(runtime)
        except OSError as error:
            return f"it could not be left behind: {error}"
        return depends_on

    def _fork(self, runtime: Runtime) -> None:
        """Become two, of which the other is no child of this one: the app need not know of it."""
        between = os.fork()
        if between == 0:
            try:
                # Before this process knows of the copy, which is to stay when its group is ended with it.
                os.setpgid(0, 0)
                if os.fork() == 0:
                    os.setpgid(0, 0)
                    self._be_the_template(runtime)
            finally:
                os._exit(0)
        with contextlib.suppress(ChildProcessError):  # an app that ignores SIGCHLD
            os.waitpid(between, 0)

    def _be_the_template(self, runtime: Runtime) -> None:
        _close([self._descriptors.journal, self._descriptors.crash, self._sentinel, *runtime.descriptors()])
        gc.freeze()  # so that the collector does not write to memory that the forks would share otherwise
        channel = socket.socket(fileno=self._channel)
        channel.send(TOLD.pack(os.getpid()), socket.MSG_NOSIGNAL)
        Forker(channel, self._begin).run()

    def _begin(self, given: list[int], asked: bytes) -> NoReturn:
        """Be a new process of the app, given the sentinel, the directory, and the rest; see :func:`request`."""
        sentinel, directory, *own = given
        setup, current_test = pickle.loads(asked)
        if not self._has_moved:
            os.fchdir(directory)  # it has the same name, but may be another one
        os.close(directory)
        if current_test is not None:
            os.environ[CURRENT_TEST] = current_test
        child.take_over(Descriptors(*own), self._side, self._said, lambda: Setup(**unpack_object(setup, {})), sentinel)


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
