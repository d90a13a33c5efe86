"""A process that keeps the app as it is once it has been imported, for others to be forked from.

Importing an app may take a second; a fork takes milliseconds. So the first process of an app that is given as an import
string leaves a copy of itself behind when it has imported it, and goes on. The copy, the *template*, serves the test's
process like the fork server, when it has told its pid: see :mod:`isoclient.server.forker`.

There is one only where a fork of it can't be told from a process that imports the app anew: see
:mod:`isoclient.server.footprint`.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from isoclient.server.footprint import Footprint, Signature
from isoclient.server.forker import TOLD, Forker
from isoclient.server.preimports import import_ahead
from isoclient.system.modules import os, socket

if TYPE_CHECKING:
    from isoclient.server.heir import Heir
    from isoclient.server.runtime import Runtime

__all__ = ["Offer"]


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
        channel = socket.socket(fileno=self._channel)
        channel.send(TOLD.pack(os.getpid()), socket.MSG_NOSIGNAL)
        Forker(channel, self._heir.begin).run()


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
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
