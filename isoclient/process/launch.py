"""Starting a process by one of the three start methods, on top of :mod:`multiprocess`.

multiprocess gives each method a ``Popen`` that starts, polls and signals. Ours differ in what an app's process needs:

- Each has a *lifeline*: a pipe whose other end only this process holds (see :mod:`isoclient.host.lifeline`).
- *fork* does not trip over the warning that Python 3.12+ gives when a process with threads (an xdist worker) forks. The
  child runs our code alone, and says when it is ready; one that is stuck in a lock of ours is found out by a deadline.
- *spawn* and *forkserver* give a clean interpreter. multiprocess would import the main module of this process there (
  pytest's console script, and with it all of pytest). Ours do not, and the fork server is shared with nobody.
- None of them is entered among the children of multiprocess, which it joins at exit without a deadline.
"""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from multiprocess import (
    connection,
    forkserver,
    popen_fork,
    popen_forkserver,
    process,
    reduction,
    resource_tracker,
    spawn,
    util,
)

from isoclient.host import child
from isoclient.host.child import Descriptors
from isoclient.host.fresh import FreshStart
from isoclient.host.heir import request
from isoclient.host.inherited import BeforeFork
from isoclient.host.lifeline import guard
from isoclient.host.setup import Setup
from isoclient.host.template import LONGEST
from isoclient.link.context import Context
from isoclient.link.system import bind, os, pickle, select, tempfile
from isoclient.process import forks
from isoclient.process.sigpipe import without_sigpipe
from isoclient.process.templates import Importer, Template, Templates, key_of

__all__ = ["launch", "templates"]

for _module in (
    connection,
    forkserver,
    popen_fork,
    popen_forkserver,
    process,
    reduction,
    resource_tracker,
    spawn,
    util,
):
    bind(_module)

_PATIENCE: Final = 60  # seconds
_TEMPLATES_PATIENCE: Final = 5  # seconds; it does nothing but fork, and without it there is another way
_NOBODY_KNOWS: Final = 255  # what multiprocess says when the fork server has died
_NO_FORK_WARNING: Final = ("ignore", re.compile(".*multi-threaded, use of fork"), DeprecationWarning, None, 0)
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def launch(method: str, descriptors: Descriptors, context: Context, setup: Setup, importer: Importer) -> AppPopen:
    """Start the app's process. The caller holds the start lock.

    Args:
        method: ``"fork"``, ``"forkserver"`` or ``"spawn"``.
        descriptors: of this process; the child gets duplicates of its own.
        context: what of this process is to be in force there.
        setup: what it is to run.
        importer: the connection to the process.

    Raises:
        ObjectNotSendable: the setup can't be sent to a fresh interpreter.
        OSError: the system refuses a new process.
    """
    if method == "fork":
        return _ForkPopen(_ForkedStart(descriptors, context, setup))
    start = FreshStart.of(descriptors, context, setup)
    with without_sigpipe():
        return _launch_fresh(method, start, setup, context, importer)


def _launch_fresh(method: str, start: FreshStart, setup: Setup, context: Context, importer: Importer) -> AppPopen:
    if method == "spawn":
        return _SpawnPopen(start)
    key = key_of(setup, context)
    return _ServerPopen(start) if key is None else _from_template(start, key, importer)


def _from_template(start: FreshStart, key: Hashable, importer: Importer) -> AppPopen:
    """A fork of the template for this, or else a process that may leave one behind."""
    template, what = templates.find(key), request(start.setup)
    if template is not None and len(what) <= LONGEST:
        try:
            return _TemplatePopen(start, template, what)
        except _TemplateGone:  # somebody has killed it, or the system was short of memory
            templates.drop(key)
    offer = templates.offer(key, importer)
    if offer is None:
        return _ServerPopen(start)
    try:
        return _ServerPopen(start, offer)
    except BaseException:
        templates.drop(key)
        raise
    finally:
        offer.theirs.close()


class AppPopen(popen_fork.Popen):  # type: ignore[misc]  # multiprocess has no types
    """A running process: what multiprocess has, and the descriptors that keep it alive."""

    pid: int = 0
    returncode: int | None = None
    has_told: bool = True
    """Whether the return code is its exit code; False where whoever had started it has died, and nobody knows."""
    lifeline: int = -1
    _guards: tuple[int, ...] = ()

    def __init__(self, process_obj: Any) -> None:
        try:
            super().__init__(process_obj)
            self.lifeline, *guards = guard(self.lifeline, self.pid)
            self._guards = tuple(guards)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End it by force, however far it has come, and leave nothing of it."""
        try:
            if self.pid and self.returncode is None:
                self.kill()
                self.wait_for_the_end()
        finally:
            self.close()

    def wait_for_the_end(self) -> None:
        """It has been killed: let no zombie be left."""
        self.poll(0)

    def descriptors(self) -> list[int]:
        """What of ours a fork must not keep."""
        return [self.lifeline, *self._guards]

    def poll_ended(self) -> int | None:
        """Like ``poll()``, for a process that most likely has ended."""
        returncode: int | None = self.poll()
        return returncode

    def close(self) -> None:
        """Close the descriptors; a process that still runs ends by that."""
        descriptors = [descriptor for descriptor in self.descriptors() if descriptor >= 0]
        self.lifeline, self._guards = -1, ()
        for descriptor in descriptors:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _ForkedStart:
    """What a fork has in its memory. What multiprocess does in its children, the host does in its own way.

    Each function less that runs in a fork is some memory less that it has to have for itself, and the time to copy
    that.
    """

    descriptors: Descriptors
    context: Context
    setup: Setup
    before: BeforeFork = field(default_factory=BeforeFork)

    def _bootstrap(self, parent_sentinel: int) -> NoReturn:
        """Where the process begins. Never returns."""
        child.run(self.descriptors, self.context, lambda: self.setup, parent_sentinel, before=self.before)


@contextlib.contextmanager
def _without_fork_warning() -> Iterator[None]:
    """Ignore this one warning of Python 3.12+, in whatever filters are in force, and leave them as they were.

    Not within ``warnings.catch_warnings``: that puts back, under the feet of another thread that has used it meanwhile,
    filters which are not its own. A filter of ours in the list of another's ends with that list.
    """
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    filters.insert(0, _NO_FORK_WARNING)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # another thread has reset them
            filters.remove(_NO_FORK_WARNING)


class _ForkPopen(AppPopen):
    method = "fork"

    def _launch(self, process_obj: _ForkedStart) -> None:
        child_end, self.lifeline = os.pipe()
        try:
            with _without_fork_warning():
                self.pid = os.fork()
            if self.pid == 0:
                self._be_the_child(process_obj, child_end)
        finally:
            os.close(child_end)
        # The child does the same; whoever comes first. So a Ctrl-C never reaches it.
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)

    def _be_the_child(self, process_obj: _ForkedStart, child_end: int) -> NoReturn:
        try:
            os.close(self.lifeline)
            process_obj._bootstrap(child_end)
        finally:
            os._exit(1)  # it has ended the process by itself, but for a failure before it came to that


# What has to be imported takes a while. The lifeline does not wait for that.
_SPAWNED: Final = """\
import sys
sys.path.insert(0, {root!r})
from isoclient.host.lifeline import arm
arm({lifeline})
from isoclient.host.fresh import main
main({data}, {lifeline})
"""


class _SpawnPopen(AppPopen):
    method = "spawn"

    def _launch(self, process_obj: FreshStart) -> None:
        said = pickle.dumps(_preparation()) + pickle.dumps(process_obj)
        with contextlib.ExitStack() as stack:
            child_end, self.lifeline = os.pipe()
            stack.callback(os.close, child_end)
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            stack.callback(os.close, writing)
            code = _SPAWNED.format(root=_ROOT, lifeline=child_end, data=reading)
            command = [spawn.get_executable(), *util._args_from_interpreter_flags(), "-c", code]
            self.pid = util.spawnv_passfds(command[0], command, [child_end, reading, *process_obj.descriptors.all()])
            _write_all(writing, said)


class _ServedPopen(popen_forkserver.Popen, AppPopen):  # type: ignore[misc]
    method = "forkserver"
    sentinel: int = -1

    def descriptors(self) -> list[int]:
        return [*super().descriptors(), self.sentinel]

    def wait_for_the_end(self) -> None:
        """It is the child of the fork server or of a template, which waits for it."""

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None and connection.wait([self.sentinel], 0 if flag == os.WNOHANG else None):
            try:
                self.returncode = forkserver.read_signed(self.sentinel)
            except (OSError, EOFError):
                self.returncode, self.has_told = _NOBODY_KNOWS, False
        return self.returncode

    def poll_ended(self) -> int | None:
        # The fork server passes on the exit code, a moment after the end.
        sentinel = self.sentinel  # a signal handler may close it at any step
        if sentinel >= 0:
            poll = select.poll()
            poll.register(sentinel, select.POLLIN)
            poll.poll(200)
        returncode: int | None = self.poll() if self.sentinel >= 0 else self.returncode
        return returncode

    def close(self) -> None:
        AppPopen.close(self)
        self.sentinel = -1


class _ServerPopen(_ServedPopen):
    def __init__(self, start: FreshStart, offer: Template | None = None) -> None:
        self._offer = offer
        super().__init__(start)

    def _launch(self, process_obj: FreshStart) -> None:
        given = process_obj.descriptors.all()
        if self._offer is not None:
            given.append(self._offer.theirs.fileno())
        _check_room(given[0])
        self.sentinel, self.lifeline = _server().connect_to_new_process(given)
        start = process_obj.by_index(offered=self._offer is not None)
        _write_all(self.lifeline, pickle.dumps(_preparation()) + pickle.dumps(start))
        _await(self.sentinel, select.POLLIN)
        self.pid = forkserver.read_signed(self.sentinel)


def _check_room(descriptor: int) -> None:
    """Of the socket and two pipes that multiprocess opens, it leaves some open where there may not be all of them."""
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.callback(os.close, os.dup(descriptor))


class _TemplateGone(Exception):
    """The template does not give a process."""


class _TemplatePopen(_ServedPopen):
    def __init__(self, start: FreshStart, template: Template, what: bytes) -> None:
        self._template = template
        self._what = what
        super().__init__(start)

    def _launch(self, process_obj: FreshStart) -> None:
        child_end, self.lifeline = os.pipe()
        try:
            self.sentinel, status = os.pipe()
            try:
                given = [status, child_end, *process_obj.descriptors.all()]
                self._ask(given)
            finally:
                os.close(status)
        finally:
            os.close(child_end)
        self.pid = self._answer()

    def _ask(self, given: list[int]) -> None:
        try:
            self._template.ask(self._what, given)
        except OSError as error:
            raise _TemplateGone from error

    def _answer(self) -> int:
        try:
            _await(self.sentinel, select.POLLIN, _TEMPLATES_PATIENCE)
            pid: int = forkserver.read_signed(self.sentinel)
        except (OSError, EOFError) as error:
            raise _TemplateGone from error
        return pid


def _preparation() -> dict[str, Any]:
    """What multiprocess prepares a fresh interpreter with, without the main module of this one."""
    return {
        "name": "isoclient-app",
        "sys_path": [path or os.getcwd() for path in sys.path],
        "sys_argv": list(sys.argv),
        "dir": os.getcwd(),
    }


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BrokenPipeError):  # it has died already; that will show
        while view:
            _await(descriptor, select.POLLOUT)
            view = view[os.write(descriptor, view) :]


def _await(descriptor: int, event: int, seconds: int = _PATIENCE) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(seconds * 1000):
        raise TimeoutError(f"a new process did not get going within {seconds} s")


class _Server(forkserver.ForkServer):  # type: ignore[misc]
    """It ends when this process does: then nobody holds its lifeline any more."""

    _forkserver_alive_fd: int | None
    _forkserver_pid: int | None

    def ensure_running(self) -> None:
        """See there. Where the test's process ignores SIGCHLD, nobody can wait for one that has died."""
        try:
            super().ensure_running()
        except ChildProcessError:
            self.abandon()
            self._forkserver_pid = self._forkserver_address = None
            super().ensure_running()

    def abandon(self) -> None:
        """In a fork of this process: see :mod:`isoclient.process.forks`."""
        descriptor, self._forkserver_alive_fd = self._forkserver_alive_fd, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)


templates: Final = Templates()
_server_of: dict[int, _Server] = {}


def _server() -> _Server:
    """The fork server of this process, warm: it has imported the host."""
    pid = os.getpid()
    if pid not in _server_of:
        _server_of.clear()
        _have_temporary_directory()
        server = _Server()
        forks.register(server)
        server.set_forkserver_preload(["isoclient.host.adopt", "isoclient.host.fresh", "isoclient.host.aio"])
        _server_of[pid] = server
    return _server_of[pid]


def _have_temporary_directory() -> None:
    """Where the fork server's socket is to be: multiprocess would make it in a file system that a test makes up."""
    settings = process.current_process()._config
    if settings.get("tempdir") is None:
        settings["tempdir"] = directory = tempfile.mkdtemp(prefix="pymp-")
        util.Finalize(None, _remove, args=(directory,), exitpriority=-100)


def _remove(directory: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)
