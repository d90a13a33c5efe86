"""The templates of this process, of apps that are given as import strings: see :mod:`isoclient.host.template`.

A template stands for all that importing the app can have seen: so it is of use only to a client that would import the
same, with the same environment, directory, path, arguments and so on, and as long as the files that were read have not
changed.
"""

from __future__ import annotations

import atexit
import sys
from array import array
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final, Protocol

from isoclient.host import pidfds
from isoclient.host.footprint import Signature, signature
from isoclient.host.heir import CURRENT_TEST
from isoclient.host.setup import Setup
from isoclient.link.context import Context
from isoclient.link.system import os, socket
from isoclient.process import forks

__all__ = ["Template", "Templates", "key_of"]

_MOST: Final = 4  # a template has the memory of an app

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
    environment = {name: value if name != CURRENT_TEST else "" for name, value in os.environ.items()}
    return (
        (setup.app, setup.factory, repr(setup.options)),
        (tuple(sys.path), tuple(sys.argv), os.getcwd()),
        frozenset(environment.items()),
        repr(context),
    )


class Template:
    """A template, or the offer to leave one behind.

    Args:
        importer: the connection to the process that has the offer.

    Attributes:
        is_declined: whether the app can't have one.
    """

    def __init__(self, importer: Importer) -> None:
        self._importer: Importer | None = importer
        self._files: dict[str, Signature] | None = None
        self.is_declined = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs: socket.socket = theirs
        self._channel = ours
        forks.register(self)

    def is_pending(self) -> bool:
        """Whether it is not known yet if there will be one."""
        importer = self._importer
        if importer is None:
            return False
        if not (importer.ready or importer.lost or importer.failure):
            return True
        self._files, self._importer = importer.files, None
        self.is_declined = importer.ready and importer.files is None
        return False

    def is_valid(self) -> bool:
        """Whether it is there, and what it was made from has not changed."""
        files = self._files
        return files is not None and all(signature(path) == known for path, known in files.items())

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        """Ask for a process.

        Args:
            request: what it is to run.
            descriptors: the one on which its pid and its exit code are to be told, its sentinel, and its others.

        Raises:
            OSError: it is not there any more.
        """
        given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        self._channel.sendmsg([request], given, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """It ends, when what it has started has."""
        self._channel.close()
        self.theirs.close()

    abandon = close


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
