"""From a socket and a way to get the app to a server that serves; the same for a process and for a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from isoclient.errors import AppNotFound, NotAnApp, ObjectNotLoadable
from isoclient.server.app import single_callable
from isoclient.server.calls import CALLS
from isoclient.server.debugger import Debugger
from isoclient.server.enforcement import apply_limits, lift_limits, relieve
from isoclient.server.hooks import hooks
from isoclient.server.limits import Limits, limit_hit
from isoclient.server.runtime import Pipe
from isoclient.server.server import Server
from isoclient.server.setup import Setup
from isoclient.wire.protocol import FAILED, READY

if TYPE_CHECKING:
    from isoclient.server.runtime import Runtime
    from isoclient.server.side_channel import SideChannel

__all__ = ["Find", "serve"]

Find: TypeAlias = "Callable[[Setup, Runtime], Any]"
"""Finds the app, or its factory."""

_MISSING: Final = "this backend needs {0}, which is not installed here: python -m pip install 'isoclient[{0}]'"


class _Boot:
    """One server on its way up, and how it came down."""

    def __init__(
        self,
        pipe: Pipe,
        *,
        side: SideChannel | None,
        debugger: Debugger | None,
        crash: int,
        find: Find,
    ) -> None:
        self.exit_code = 0
        self.server_made = False
        self._pipe = pipe
        self._codec = pipe.codec
        self._side = side
        self._debugger = debugger
        self._crash = crash
        self._find = find
        self._limits: Limits | None = None

    def run(self, setup: Setup) -> None:
        """Run the backend, until the server stops."""
        if setup.backend == "trio":
            from isoclient.server.trio_runtime import run_trio

            run_trio(self._pipe, self, setup)
        else:
            from isoclient.server.asyncio_runtime import run_asyncio

            run_asyncio(self._pipe, self, setup)

    def begin(self, setup: Setup, runtime: Runtime) -> Iterator[Awaitable[object]]:
        """See :meth:`isoclient.server.runtime.Program.begin`."""
        if self._debugger is not None:
            self._debugger.call_on_loop = runtime.call_from_thread
            self._debugger.app = setup.app
        self._limits = setup.limits
        if setup.limits is not None:
            apply_limits(setup.limits, self._crash)
        if self._side is not None:
            yield from hooks.begin()

    def end(self, runtime: Runtime) -> Iterator[Awaitable[object]]:
        """See :meth:`isoclient.server.runtime.Program.end`."""
        return hooks.finish(runtime.within) if self._side is not None else iter(())

    def make_server(self, setup: Setup, runtime: Runtime) -> Server | None:
        """See :meth:`isoclient.server.runtime.Program.make_server`."""
        try:
            app = setup.make(self._find(setup, runtime))
            if self._side is not None:
                has_run = not (self._side.is_of_a_fork and setup.is_there and not hooks.start)
                self._side.app_is_loaded(app, has_run=has_run)
            called = single_callable(app)
        except MemoryError as error:
            relieve()  # before anything else
            self.report(error)
            return None
        except BaseException as error:
            self.report(error)
            return None
        server = Server(
            called,
            self._codec,
            runtime,
            self._pipe.mux,
            calls=CALLS,
            live={"app": app},
            leave=self._leaver(runtime) if self._side is not None else None,
            limits=setup.limits,
            side=self._side,
        )
        if setup.leaks and self._side is not None:
            from isoclient.server.leftovers import Leftovers  # with much that nobody else needs

            server.tell_leaks = Leftovers(server, self._side, setup.pictures or {}).tell
        self.server_made = True
        self._pipe.mux.tell(READY)
        runtime.write()
        return server

    def _leaver(self, runtime: Runtime) -> Callable[[int], None]:
        def leave(code: int) -> None:
            self.exit_code = code
            runtime.stop()

        return leave

    def report(self, error: BaseException) -> None:
        """Tell the client why there will be no server."""
        limit = limit_hit(self._limits, error)
        if limit is not None:
            lift_limits(limit)
        if isinstance(error, AppNotFound | NotAnApp | ObjectNotLoadable):
            error.__traceback__ = None  # the text says it all, and the frames would be ours alone
        self._pipe.mux.tell(FAILED, self._codec.pack_exception(error))
        self._pipe.sock.setblocking(True)
        self._pipe.write()
        self._pipe.sock.setblocking(False)


def _find(setup: Setup, _runtime: Runtime) -> Any:
    return setup.find()


def serve(
    pipe: Pipe,
    get_setup: Callable[[], Setup],
    *,
    side: SideChannel | None = None,
    crash: int = -1,
    find: Find = _find,
) -> int:
    """Load the app and serve it until the other side of the pipe is done with it.

    Args:
        pipe: the server's end of it.
        get_setup: returns what to run; it may raise.
        side: what the process exchanges with the test beside the pipe, where it is there for the app alone.
        crash: the descriptor of the file for the last words, if so.
        find: finds the app, where it is not merely to be imported.

    Returns:
        The exit code that the process should have: 0, or what the app's ``sys.exit`` asked for.

    Raises:
        BaseException: what ended the event loop from within, such as ``sys.exit`` in a task that the app started.
    """
    debugger = None
    if side is not None:
        pipe.close_in_forks()
        debugger = Debugger(pipe)
        debugger.install()
    boot = _Boot(pipe, side=side, debugger=debugger, crash=crash, find=find)
    try:
        boot.run(get_setup())
    except BaseException as error:
        if boot.server_made:
            raise
        if isinstance(error, MemoryError):
            relieve()  # before anything else
        boot.report(_explained(error))
    return boot.exit_code if boot.server_made else 1


def _explained(error: BaseException) -> BaseException:
    """What is missing for a backend, said in terms of this package."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in ("trio", "uvloop"):
        return error
    explained = ImportError(_MISSING.format(error.name))
    explained.__cause__ = error
    return explained
