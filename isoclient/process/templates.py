"""The templates of this process, of apps that are given as import strings: see :mod:`isoclient.server.template`.

A template stands for all that importing the app can have seen: so it is of use only to a client that would import the
same, with the same environment, directory, path, arguments and so on, and as long as the files that were read have not
changed. Why an app is imported once more is told by the logger ``isoclient``, at the level ``DEBUG``.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import marshal
import sys
import zlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, NamedTuple

from isoclient.mirror.mirrored import Context
from isoclient.process.forking import Forking, Stopped
from isoclient.process.reaper import is_stopped
from isoclient.server.hooks import hooks
from isoclient.server.import_watch import Dependencies, signature
from isoclient.server.setup import Setup
from isoclient.server.template import CURRENT_TEST
from isoclient.system import pidfds
from isoclient.system.descriptors import Belongings, let_go_of_another
from isoclient.system.modules import os, signal, socket

__all__ = ["Key", "Template", "Templates", "key_of"]

_MOST: Final = 4  # a template has the memory of an app
_LONGEST: Final = 2**20  # of what is told of one, in bytes


class Key(NamedTuple):
    """What has to be equal for one template to do: the app, and all that importing it may see."""

    app: str
    surroundings: Hashable

    def log(self, why: str) -> None:
        """Say why this app is imported once more."""
        logging.getLogger("isoclient").debug("%s is imported, and not forked from a template: %s", self.app, why)


def key_of(setup: Setup, context: Context) -> Key | None:
    """The key of what is to be started; None for apps that are never given a template."""
    if not isinstance(setup.app, str):
        return None
    key = Key(setup.app, (setup.factory, repr(setup.options), *_surroundings(), repr(context)))
    why_not = _why_never(setup, context)
    if why_not is not None:
        key.log(why_not)
        return None
    return key


def _surroundings() -> tuple[Hashable, ...]:
    environment = {**os.environ, CURRENT_TEST: ""}
    return os.getpid(), tuple(sys.path), tuple(sys.argv), _directory(), frozenset(environment.items())


def _directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it has been removed
        return None


def _why_never(setup: Setup, context: Context) -> str | None:
    reasons = {
        "trio would not do in a fork": setup.backend != "asyncio",
        "nothing is known of its event loop": setup.options.get("loop_factory") is not None,
        "it has limits": setup.limits is not None,
        "what at_start() has been given is to be called before that": bool(hooks.start),
        "the lines that run then are measured for each client": "coverage" in context,
        "the system has no pidfds, or no /proc": not (pidfds.are_there() and os.path.exists("/proc/self/fd")),
        "the current directory has been removed": _directory() is None,
    }
    return next((why for why, is_so in reasons.items() if is_so), None)


class Template(Forking):
    """A template, or what may become one when the app has been imported.

    Attributes:
        theirs: the end of the channel that is for the process that may leave it behind.
        told: what it depends on, or why the app can't have one; None as long as that is not known.
    """

    patience = 5  # it does nothing but fork, and without it there is another way

    def __init__(self) -> None:
        super().__init__()
        self.told: Dependencies | str | None = None
        self._pidfd = -1
        self._belongings = Belongings()
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._be_asked_on(ours)

    def is_pending(self) -> bool:
        """Whether it is not known yet if there will be one, for the app is being imported."""
        channel = self._channel
        if self.told is not None or channel is None or let_go_of_another(channel, self._file):
            return False
        try:
            message = channel.recv(_LONGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        if message:
            self.pid, self.told = marshal.loads(zlib.decompress(message))
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                self._pidfd = self._belongings.make(os.pidfd_open, self.pid)
        return False

    def why_not(self) -> str | None:
        """Why it is not there, or of no use any more; None if it will do."""
        if self.told is None:
            return "the first process of the app has ended too early"
        if isinstance(self.told, str):
            return self.told
        changed = (path for path, known in self.told.items() if signature(path) != known)
        path = next(changed, None)
        return None if path is None else f"{os.path.normpath(path)} has changed since"

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        """See :meth:`Forking.ask`."""
        if self.end_if_stopped():
            raise Stopped("the template was stopped")
        super().ask(request, descriptors)

    def end_if_stopped(self) -> bool:
        """See :meth:`Forking.end_if_stopped`. Nothing could come of it any more."""
        if self._pidfd < 0 or not is_stopped(self.pid):
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:  # its number is another's by now
            return False
        self._was_stopped = self.pid
        return True

    def abandon(self) -> None:
        """See :meth:`Forking.abandon`."""
        super().abandon()
        self.theirs.close()
        self._pidfd = -1
        self._belongings.close()

    def end(self) -> None:
        """See :meth:`Forking.end`. It ends by itself, for nobody can ask it any more."""
        self.abandon()


class Templates:
    """Those of this process, the latest that were used."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[Key, Template] = OrderedDict()
        self._refusals: dict[int, str] = {}  # by hashes, for a key has a whole environment in it
        atexit.register(self.close)  # sockets that the interpreter has to close are warned of

    def __len__(self) -> int:
        """How many there are, those included that may become some."""
        return len(self._by_key)

    def find(self, key: Key) -> Template | None:
        """The one that will do, if it is there."""
        template = self._by_key.get(key)
        if template is None or template.is_pending():
            return None
        why_not = template.why_not()
        if why_not is None:
            self._by_key.move_to_end(key)
            return template
        self.drop(key)
        if why_not == template.told:
            self._refusals[hash(key)] = why_not
        else:
            key.log(why_not)
        return None

    def expect(self, key: Key) -> Template | None:
        """One that a process may leave behind when it has imported the app.

        None where another may do so already, or where it is known that none can.
        """
        if refusal := self._refusals.get(hash(key)):
            key.log(refusal)
        if key in self._by_key or refusal:
            return None
        while len(self) >= _MOST:
            self.drop(next(iter(self._by_key)))
        self._by_key[key] = template = Template()
        return template

    def drop(self, key: Key) -> None:
        """There is no use for it any more."""
        template = self._by_key.pop(key, None)  # a signal handler may have been faster
        if template is not None:
            template.end()

    def close(self) -> None:
        """End them all; there may be others later."""
        for key in list(self._by_key):
            self.drop(key)
