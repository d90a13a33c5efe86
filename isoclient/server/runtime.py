"""What the server needs of an event loop, which the modules for asyncio and trio have, and what both do with a pipe."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from isoclient.system.modules import os, socket
from isoclient.system.sigpipe import NO_SIGNAL
from isoclient.transit.codecs import Codec
from isoclient.wire.mux import Event, Mux
from isoclient.wire.protocol import WireError

if TYPE_CHECKING:
    from isoclient.leaks.noticing import Noticing
    from isoclient.server.setup import Setup

__all__ = ["Job", "Pipe", "Program", "Runtime", "Served", "Signal"]


class Signal(Protocol):
    """Something has changed: look again. Any number of tasks may wait; all of them wake."""

    def set(self) -> None:
        """Wake all who wait now."""

    async def wait(self) -> None:
        """Wait for the next :meth:`set`."""


class Job(Protocol):
    """What a task of the loop runs: a call of the app, which is told how that has ended.

    Attributes:
        name: what it is, in the name of the task.
        number: which one it is.
        abort: cancels the task; set by who has made it.
        gone: whether the client waits no more, so that a cancellation is ours.
    """

    name: str
    number: int
    abort: Callable[[], object]
    gone: bool

    async def call(self) -> object:
        """Call the app."""

    def returned(self, value: object) -> None:
        """The app has returned."""

    def raised(self, error: BaseException) -> None:
        """The app has raised."""

    def cancelled(self) -> None:
        """The app was cancelled, by us."""


class Runtime(Protocol):
    """One event loop with one pipe."""

    def signal(self) -> Signal:
        """A new signal."""

    def spawn(self, job: Job) -> None:
        """Start a task that runs this job, reports its end to it, and is ended by its ``abort``."""

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Call this on the loop once what is ready now has run."""

    def call_from_thread(self, callback: Callable[[], object], /) -> object:
        """The same from any thread."""

    def call_later(self, seconds: float, callback: Callable[[], object], /) -> object:
        """Call this on the loop after a while."""

    def write(self) -> None:
        """Write what is in the outbox now, and the rest as the pipe takes it."""

    def stop(self) -> None:
        """End the loop, once all is written."""

    async def within(self, seconds: float, awaitable: Awaitable[object]) -> bool:
        """Await something for so long at most, and cancel it then; whether that has been enough."""

    def imprint(self) -> object:
        """What somebody who has had the loop may have changed: its settings, and how many references it has."""

    def descriptors(self) -> list[int]:
        """Those of the loop that a fork which has no use for it is to close."""

    def describe_tasks(self) -> str:
        """Where each task of the loop is suspended, in words."""

    def tasks(self) -> Iterable[tuple[object, str, list[tuple[FrameType, int]]]]:
        """All tasks of the loop, with their names, and where each is suspended as :meth:`frames_of` has it."""

    def executor(self) -> object:
        """The executor that the loop has by default, if it has one by now."""

    def let_notice(self, noticing: Noticing) -> None:
        """Let it know of tasks as they are made, and of exceptions that nobody has retrieved."""

    def frames_of(self, number: int) -> Iterable[tuple[FrameType, int]]:
        """Where the task of the job with this number is suspended: frames and lines, the outermost first."""


class Served(Protocol):
    """The server, as the event loop has it."""

    def take(self, event: Event) -> None:
        """Act on something that the client has said."""

    def stop(self) -> None:
        """End every call of the app, and then the loop."""

    def disown_calls(self) -> None:
        """The loop ends before its time, which is no end of the calls."""


class Program(Protocol):
    """What runs on an event loop, from its beginning to its end. What comes of it is awaited there, one by one."""

    def begin(self, setup: Setup, runtime: Runtime) -> Iterable[Awaitable[object]]:
        """What is to be done before the app is loaded; it may raise."""

    def report(self, error: BaseException) -> None:
        """Tell the client why there will be no server."""

    def make_server(self, setup: Setup, runtime: Runtime) -> Served | None:
        """Load the app; None if it can't be loaded."""

    def end(self, runtime: Runtime) -> Iterable[Awaitable[object]]:
        """What is to be done when the app is not called any more. Never raises."""


class Pipe:
    """What both event loops do with the socket, apart from waiting for it.

    Args:
        sock: the socket; it is made non-blocking.
        codec: how values cross.

    Attributes:
        sock: the socket.
        codec: how values cross.
        mux: the server's end of the wire.
    """

    def __init__(self, sock: socket.socket, codec: Codec) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._forked = False
        self.sock = sock
        self.codec = codec
        self.mux = Mux("server", codec)

    def close_in_forks(self) -> None:
        """Forks that the app makes share the socket, and the event loop's epoll instance, with this process.

        One that comes back from the app's code to ours, as after a bare ``os.fork()`` in a handler, must neither read
        frames that are ours, nor write any twice, nor take anything out of the loop: it ends there.
        """
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._forked = True
        self.sock.close()

    def read(self) -> list[Event] | None:
        """The events that a read now completes; None at the end of file, when the test is gone or done with us."""
        if self._forked:
            os._exit(0)
        try:
            count = self.sock.recv_into(self.mux.get_buffer())
        except BlockingIOError:
            return []
        except OSError:
            # ECONNRESET is what a peer that died with our frames unread leaves; EBADF, an app that closed it.
            return None
        if count == 0:
            return None
        try:
            return self.mux.buffer_updated(count)
        except WireError as error:
            # After a damaged frame nothing that follows can be trusted. The other side learns it by our end.
            print(f"isoclient: what came from the test makes no sense: {error}", file=sys.stderr)
            return None

    def write(self) -> bool:
        """Write what the socket takes; True when nothing is left."""
        if self._forked:
            os._exit(0)
        try:
            return self.mux.outbox.write(self.sock.send, self.sock.sendmsg, NO_SIGNAL)
        except OSError:
            self.mux.outbox.clear()
            return True
