"""The templates of this process, of apps that are given as import strings: see :mod:`isoclient.server.template`.

A template stands for all that importing the app can have seen: so it is of use only to a client that would import the
same, with the same environment, directory, path, arguments and so on, and as long as the files that were read have not
changed.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final, Protocol

from isoclient.mirror.differences import Context
from isoclient.process.fork_server import ask, is_readable, read_pid
from isoclient.process.reaper import is_stopped
from isoclient.server.footprint import Signature, signature
from isoclient.server.forker import TOLD
from isoclient.server.heir import CURRENT_TEST
from isoclient.server.setup import Setup
from isoclient.system import forks, pidfds
from isoclient.system.descriptors import Belongings, identity, let_go_of_another
from isoclient.system.modules import os, signal, socket

__all__ = ["Template", "TemplateGone", "Templates", "key_of"]

_MOST: Final = 4  # a template has the memory of an app
_PATIENCE: Final = 5  # seconds; it does nothing but fork, and without it there is another way
_COMING: Final = 1000  # milliseconds that a template may take to tell its pid

Key = Hashable


class Importer(Protocol):
    """The connection to the process that imports the app, as far as it matters here.

    Attributes:
        ready: whether the app is loaded.
        files: what that has read, if a template was left behind.
        lost: whether the process has ended.
        failure: why the app could not be loaded.
    """

    ready: bool
    files: dict[str, Signature] | None
    lost: Any
    failure: Any


def key_of(setup: Setup, context: Context) -> Key | None:
    """What has to be equal for one template to do; None for apps that are never given one."""
    possible = (
        isinstance(setup.app, str)
        and setup.backend == "asyncio"
        and setup.options.get("loop_factory") is None  # a loop that nobody here knows
        and setup.limits is None
        and context["coverage"] is None  # the lines that run at import are to be measured for each client
        and pidfds.are_there()
        and os.path.exists("/proc/self/fd")
    )
    if not possible:
        return None
    try:
        directory = os.getcwd()
    except FileNotFoundError:  # it has been removed
        return None
    environment = {name: value if name != CURRENT_TEST else "" for name, value in os.environ.items()}
    return (
        (setup.app, setup.factory, repr(setup.options)),
        (tuple(sys.path), tuple(sys.argv), directory),
        frozenset(environment.items()),
        repr(context),
    )


class TemplateGone(Exception):
    """The template does not give a process: somebody has killed it, or the system is short of something."""


class Template:
    """A template, or the offer to leave one behind.

    Args:
        importer: the connection to the process that has the offer.

    Attributes:
        is_declined: whether the app can't have one.
        was_stopped: its pid, if it had to be ended because it was stopped; else 0.
    """

    def __init__(self, importer: Importer) -> None:
        self._importer: Importer | None = importer
        self._files: dict[str, Signature] | None = None
        self._pid = 0
        self._pidfd = -1
        self._wait = _COMING
        self._belongings = Belongings()
        self.is_declined = False
        self.was_stopped = 0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs: socket.socket = theirs
        self._channel = ours
        self._files_of_sockets = [(sock, identity(os.fstat(sock.fileno()))) for sock in (ours, theirs)]
        forks.register(self)

    def is_pending(self) -> bool:
        """Whether it is not known yet if there will be one."""
        importer = self._importer
        if importer is None:
            return False
        if not (importer.ready or importer.lost or importer.failure):
            return True
        if importer.files is not None and not self._has_come():
            return True
        self._files, self._importer = importer.files, None
        self.is_declined = importer.ready and importer.files is None
        return False

    def _has_come(self) -> bool:
        """Whether it has told its pid; or nobody will, which shows when it is asked.

        It is there, and tells as soon as it gets a processor: the first who asks waits for that, rather than for
        another import. One that is stopped does not tell.
        """
        milliseconds, self._wait = self._wait, 0
        is_readable(self._channel.fileno(), milliseconds)
        try:
            told = self._channel.recv(TOLD.size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        if told:
            (self._pid,) = TOLD.unpack(told)
            with contextlib.suppress(ProcessLookupError):
                self._pidfd = self._belongings.make(os.pidfd_open, self._pid)
        return True

    def is_valid(self) -> bool:
        """Whether it is there, and what it was made from has not changed."""
        files = self._files
        return files is not None and all(signature(path) == known for path, known in files.items())

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        """Ask for a process.

        Args:
            request: what it is to run.
            descriptors: where its pid and its exit code are to be told, its sentinel, its directory, and its others.

        Raises:
            TemplateGone: see there.
        """
        self._let_go_of_others()
        if self.end_if_stopped():
            raise TemplateGone
        try:
            ask(self._channel, request, descriptors)
        except OSError as error:
            raise TemplateGone from error

    def read_pid(self, sentinel: int) -> int:
        """The pid of what was asked for.

        Args:
            sentinel: the descriptor on which it is told.

        Raises:
            TemplateGone: see there.
        """
        try:
            for _ in range(_PATIENCE):
                if is_readable(sentinel, 1000):
                    return read_pid(sentinel)
                if self.end_if_stopped():
                    raise TemplateGone
        except (OSError, EOFError) as error:
            raise TemplateGone from error
        raise TemplateGone

    def end_if_stopped(self) -> bool:
        """See whether it is stopped, and end it then; return whether it was. Nothing could come of it any more."""
        if self._pidfd < 0 or not is_stopped(self._pid):
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:  # its number is another's by now
            return False
        self.was_stopped = self._pid
        return True

    def close(self) -> None:
        """It ends, when what it has started has."""
        self._let_go_of_others()
        self._channel.close()
        self.theirs.close()
        self._pidfd = -1
        self._wait = _COMING
        self._belongings.close()

    abandon = close

    def _let_go_of_others(self) -> None:
        for sock, file in self._files_of_sockets:
            let_go_of_another(sock, file)


class Templates:
    """Those of this process, the latest that were used."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._by_key: OrderedDict[Key, Template] = OrderedDict()
        self._declined: set[int] = set()  # hashes, for a key has a whole environment in it
        atexit.register(self.close)  # sockets that the interpreter has to close are warned of

    def find(self, key: Key) -> Template | None:
        """The one that will do, if it is there."""
        self._forget_those_of_others()
        template = self._by_key.get(key)
        if template is None or template.is_pending():
            return None
        if not template.is_valid():
            if template.is_declined:
                self._declined.add(hash(key))
            self.drop(key)
            return None
        self._by_key.move_to_end(key)
        return template

    def offer(self, key: Key, importer: Importer) -> Template | None:
        """One that a process may leave behind when it has imported the app.

        None where another may do so already, or where it is known that none can.
        """
        self._forget_those_of_others()
        if key in self._by_key or hash(key) in self._declined:
            return None
        while len(self._by_key) >= _MOST:
            self.drop(next(iter(self._by_key)))
        self._by_key[key] = template = Template(importer)
        return template

    def drop(self, key: Key) -> None:
        """There is no use for it any more."""
        template = self._by_key.pop(key, None)  # a signal handler may have been faster
        if template is not None:
            template.close()

    def close(self) -> None:
        """End them all; there may be others later."""
        for key in list(self._by_key):
            self.drop(key)

    def _forget_those_of_others(self) -> None:
        if self._pid != os.getpid():  # this is a fork
            self._pid = os.getpid()
            self._by_key.clear()
