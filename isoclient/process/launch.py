"""Starting a process by one of the three start methods.

They are called as in multiprocess, and differ in what an app's process needs:

- *fork* does not trip over the warning that Python 3.12+ gives when a process with threads (an xdist worker) forks. The
  child runs our code alone, and says when it is ready; one that is stuck in a lock of ours is found out by a deadline.
- *spawn* and *forkserver* give a clean interpreter. multiprocess would import the main module of this process there (
  pytest's console script, and with it all of pytest). Ours do not; and the fork server is our own, shared with nobody.
"""

from __future__ import annotations

import contextlib
import gc
import re
import warnings
from functools import partial
from typing import Any, Final, NoReturn

from isoclient.mirror.mirrored import Context
from isoclient.process.forking import PATIENCE, Forking, ForkServer, Stopped, is_readable
from isoclient.process.interpreter import start_interpreter
from isoclient.process.popen import AppPopen
from isoclient.process.templates import Key, Templates, key_of
from isoclient.server import child
from isoclient.server.child import Descriptors
from isoclient.server.forker import LONGEST, read_told
from isoclient.server.fresh_start import FreshStart
from isoclient.server.hooks import hooks
from isoclient.server.inherited import BeforeFork
from isoclient.server.setup import Setup
from isoclient.server.template import request
from isoclient.system.descriptors import noted
from isoclient.system.modules import os, pickle, select
from isoclient.system.sigpipe import without_sigpipe
from isoclient.system.thread_frames import is_collecting

__all__ = ["by_fork", "by_fork_server", "by_spawn", "fork", "fork_server", "templates"]

_TELLING: Final = 200  # milliseconds that the exit code may take after the end
_NOBODY_KNOWS: Final = 255  # what multiprocess says when the fork server has died
_DIRECTORY: Final = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_NO_FORK_WARNING: Final = ("ignore", re.compile(".*multi-threaded, use of fork"), DeprecationWarning, None, 0)


def by_fork(descriptors: Descriptors, context: Context, setup: Setup) -> AppPopen:
    """Start the app's process as a fork of this one. The caller holds the start lock.

    Args:
        descriptors: of this process; the child gets duplicates of its own.
        context: what of this process is to be in force there.
        setup: what it is to run.

    Raises:
        OSError: the system refuses a new process.
    """
    if setup.leaks and setup.is_there and not hooks.start:  # else it may have others by the time that the app is used
        from isoclient.leaks.pictures import take_ahead  # with much that nobody else needs

        setup = setup._replace(pictures=take_ahead())
    return _ForkPopen(descriptors, context, setup)


def by_spawn(descriptors: Descriptors, context: Context, setup: Setup) -> AppPopen:
    """The same as a fresh interpreter.

    Raises:
        ObjectNotSendable: the setup can't be sent there.
        OSError: the system refuses a new process.
    """
    start = FreshStart.of(context, setup)
    with without_sigpipe():
        return _SpawnPopen(start, descriptors)


def by_fork_server(descriptors: Descriptors, context: Context, setup: Setup) -> AppPopen:
    """The same as a fork of the fork server, or of a template; which raises the same."""
    start, key = FreshStart.of(context, setup), key_of(setup, context)
    with without_sigpipe():
        return _from_server(start, descriptors.all()) if key is None else _from_template(start, descriptors, key)


def _from_server(start: FreshStart, given: list[int]) -> AppPopen:
    said = pickle.dumps(start)
    with contextlib.suppress(Stopped):
        return _ServedPopen(fork_server, given, said=said)
    return _ServedPopen(fork_server, given, said=said)


def _from_template(start: FreshStart, descriptors: Descriptors, key: Key) -> AppPopen:
    """A fork of the template for this, or else a process that may leave one behind."""
    template, what = templates.find(key), request(start.setup)
    if template is not None and len(what) <= LONGEST:
        try:
            return _ServedPopen(template, descriptors.all(), what)
        except (OSError, EOFError) as error:  # somebody has killed it, or the system is short of something
            key.log(f"it does not give a process: {error}")
            templates.drop(key)
            template.say_that_it_was_stopped()
    coming = templates.expect(key)
    if coming is None:
        return _from_server(start, descriptors.all())
    try:
        return _from_server(start, [*descriptors.all(), coming.theirs.fileno()])
    except BaseException:
        templates.drop(key)
        raise
    finally:
        coming.theirs.close()


def fork(pids: list[int]) -> int:
    """Fork, note the new process down, and return its number; 0 in that process.

    There the garbage collector is off: it would go through all that both processes share, and copy it by that, and take
    apart what is the test's, while the hooks of others run after the fork. See
    :func:`isoclient.server.inherited.settle`, which lets it go on with what is the app's.

    Without one warning of Python 3.12+, in whatever filters are in force, which are left as they were. Not within
    ``warnings.catch_warnings``: that puts back, under the feet of another thread that has used it meanwhile, filters
    which are not its own. A filter of ours in the list of another's ends with that list.
    """
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    collects = is_collecting()
    try:
        filters.insert(0, _NO_FORK_WARNING)
        gc.disable()
        noted(pids, os.fork)
    finally:
        if collects and pids != [0]:
            gc.enable()
        try:  # noqa: SIM105  # an exception out of a signal handler would come before anything else than this call
            filters.remove(_NO_FORK_WARNING)
        except ValueError:  # another thread has reset them
            pass
    return pids[0]


class _ForkPopen(AppPopen):
    """A fork of this process, with its memory.

    Each function less that runs in a fork is some memory less that it has to have for itself, and the time to copy
    that.
    """

    def __init__(self, descriptors: Descriptors, context: Context, setup: Setup) -> None:
        self._be_app = partial(child.run, descriptors, context, lambda: setup, before=BeforeFork())
        super().__init__()
        del self._be_app  # what the app refers to is not to live as long as this

    def launch(self) -> None:
        child_end, self.lifeline = self._belongings.make_all(os.pipe)
        if fork(self._pids) == 0:
            self._be_the_child(child_end)
        self._belongings.close_one(child_end)
        # The child does the same; whoever comes first. So a Ctrl-C never reaches it.
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)

    def _be_the_child(self, child_end: int) -> NoReturn:
        try:
            os.close(self.lifeline)
            self._be_app(sentinel=child_end)
        finally:
            os._exit(1)  # it has ended the process by itself, but for a failure before it came to that


class _SpawnPopen(AppPopen):
    """A fresh interpreter."""

    def __init__(self, start: FreshStart, descriptors: Descriptors) -> None:
        self._said = pickle.dumps(start)
        self._given = descriptors.all()
        super().__init__()

    def launch(self) -> None:
        child_end, self.lifeline = self._belongings.make_all(os.pipe)
        reading, writing = self._belongings.make_all(os.pipe)
        arguments = reading, child_end, self._given
        noted(self._pids, start_interpreter, "isoclient.server.spawned", arguments, [reading, child_end, *self._given])
        _write_all(writing, self._said)
        for descriptor in (child_end, reading, writing):
            self._belongings.close_one(descriptor)


class _ServedPopen(AppPopen):
    """One that the fork server, or a template, has forked.

    Args:
        server: whoever is to fork it.
        given: the descriptors that it is given, beside those of each process.
        what: the request.
        said: what it is to be sent then.
    """

    sentinel: int = -1

    def __init__(self, server: Forking, given: list[int], what: bytes = b".", *, said: bytes = b"") -> None:
        self._server = server
        self._given = given
        self._what = what
        self._said = said
        super().__init__()

    def launch(self) -> None:
        child_end, self.lifeline = self._belongings.make_all(os.pipe)
        self.sentinel, status = self._belongings.make_all(os.pipe)
        directory = self._belongings.make(os.open, ".", _DIRECTORY)
        self._server.ask(self._what, [status, child_end, directory, *self._given])
        for descriptor in (status, child_end, directory):
            self._belongings.close_one(descriptor)
        noted(self._pids, self._server.read_pid, self.sentinel)
        _write_all(self.lifeline, self._said)

    def wait_for_the_end(self) -> None:
        """It is the child of whoever has forked it, who waits for it."""

    def let_go(self) -> None:
        """Likewise."""

    def poll(self) -> int | None:
        if self.returncode is None and is_readable(self.sentinel, 0):
            try:
                self.returncode = read_told(self.sentinel)
            except (OSError, EOFError):
                self.returncode, self.has_told = _NOBODY_KNOWS, False
        return self.returncode

    def poll_ended(self) -> int | None:
        # Its exit code is passed on a moment after the end.
        sentinel = self.sentinel  # a signal handler may close it at any step
        if sentinel >= 0 and not is_readable(sentinel, _TELLING):
            self._server.end_if_stopped()
        return self.poll() if self.sentinel >= 0 else self.returncode

    def close(self) -> None:
        AppPopen.close(self)
        self.sentinel = -1


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BrokenPipeError):  # it has died already; that will show
        while view:
            _await_room(descriptor)
            view = view[os.write(descriptor, view) :]


def _await_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(PATIENCE * 1000):
        raise TimeoutError(f"a new process did not get going within {PATIENCE} s")


templates: Final = Templates()
fork_server: Final = ForkServer()
