"""An ASGI app that runs in a process of its own, and is called like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from isoclient.client import defaults
from isoclient.client.app_copy import warn_of
from isoclient.client.call import reraise, shows_app_errors, without_ours
from isoclient.client.client_options import make_setup, make_supervisor, name_of_app
from isoclient.client.forwarding import StandsForApp
from isoclient.client.outer_lifespan import OuterLifespan
from isoclient.client.registry import registry
from isoclient.client.relay import Receive, Relay, Scope, Send
from isoclient.client.supervisor import Supervisor

if TYPE_CHECKING:
    from isoclient.client.patching import AppPatch
    from isoclient.leaks.found import Leak
    from isoclient.server.limits import Limits

__all__ = ["IsolatedApp", "isolate"]


def isolate(
    app: Any,
    *,
    start_method: str | None = defaults.start_method,
    factory: bool = False,
    backend: str = "asyncio",
    backend_options: Mapping[str, Any] | None = None,
    timeout: float | None = defaults.timeout,
    restart: bool = True,
    limits: Limits | None = None,
    leaks: bool = defaults.leaks,
) -> IsolatedApp:
    """Have an app run in a process of its own, for a client or server of any kind.

    What it returns is an ASGI 3 app, to be given to whatever takes one: Starlette's and FastAPI's test client, httpx's
    ``ASGITransport``, Litestar's clients, a server. It can be awaited on any event loop of asyncio or trio, on several
    at once, and in several threads.

    Args:
        app: an ASGI 3 or ASGI 2 app; or an import string, ``"package.module:attribute"``.
        start_method: how its process starts: ``"fork"`` (a snapshot of this process), ``"forkserver"`` or ``"spawn"``
            (a fresh interpreter). By default, an app object is forked and an import string gets a fresh interpreter.
        factory: whether the app is what calling ``app`` returns.
        backend: the event loop over there: ``"asyncio"`` or ``"trio"``.
        backend_options: for asyncio ``use_uvloop``, ``loop_factory``, ``debug``; for trio what :func:`trio.run` takes.
        timeout: how long each wait for the app may take, in seconds; None for no limit. The start of its process, with
            the import of the app, may take 10 s all the same. Waits for who calls it do not count.
        restart: whether the first call after a crash starts the app again; if not, it raises :class:`AppCrashed`.
        limits: what its process may use; see :class:`Limits`.
        leaks: whether :meth:`IsolatedApp.leaks` can tell what the app has left behind.

    Raises:
        TypeError: the app is no ASGI app.
        ValueError: an option has a value that it does not take.

    Example:
        >>> import asyncio
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"Hello"})
        >>> async def receive():
        ...     return {"type": "http.request", "body": b"", "more_body": False}
        >>> async def send(message):
        ...     print(message["type"])
        >>> with isolate(app) as isolated:
        ...     asyncio.run(isolated({"type": "http", "method": "GET", "path": "/"}, receive, send))
        http.response.start
        http.response.body
    """
    setup = make_setup(app, factory=factory, backend=backend, options=backend_options, limits=limits)
    supervisor = make_supervisor(
        setup,
        isolated=True,
        start_method=start_method,
        timeout=timeout,
        restarts=restart,
        lifespan="off",
        leaks=leaks,
    )
    supervisor.plan.reach = "isolated.call"
    supervisor.plan.made_by = "isolate(app, leaks=True)"
    supervisor.plan.sharing = "a client of the app itself shares"
    isolated = IsolatedApp(app, supervisor)
    registry.watch(isolated)
    return isolated


def isolated_in_run(app: Any, mode: bool | str, backend: str) -> IsolatedApp:
    """The same for a run of pytest, whose options say the rest, and whose plugin ends it."""
    setup = make_setup(app, factory=False, backend=backend, options=None, limits=None)
    chosen: Any = mode
    supervisor = make_supervisor(
        setup,
        isolated=chosen,
        start_method=defaults.start_method,
        timeout=defaults.timeout,
        restarts=True,
        lifespan="off",
        leaks=defaults.leaks,
    )
    return IsolatedApp(app, supervisor)


class IsolatedApp(StandsForApp):
    """An ASGI 3 app that runs in a process of its own; made by :func:`isolate`.

    The app starts when it is called first, and ends with :meth:`close`, with the ``with`` block, or with the test. Its
    lifespan is run by who calls it, as that of any app. Where the app has died, the next call starts a fresh copy, and
    with it the lifespan, if somebody runs that.

    Other attributes are those of the app here, for clients of frameworks look for them: its ``state``, ``routes``,
    ``dependency_overrides`` and so on; and what is assigned is assigned to the app here. The overrides, the state and
    what is patched are carried over to the app's process; all else that is changed once that runs is not.

    Attributes:
        app: what runs there, as it is here; or the import string.
        runs_elsewhere: for clients, which need not isolate it again.
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows
    runs_elsewhere: ClassVar = True

    def __init__(self, app: Any, supervisor: Supervisor) -> None:
        self.app = app
        self._supervisor = supervisor
        self._lifespan = OuterLifespan()
        supervisor.plan.has_outer_lifespan = self._lifespan.is_run
        supervisor.belong_to(self)
        registry.clients[self] = supervisor.plan.usage

    def __repr__(self) -> str:
        return f"<IsolatedApp {name_of_app(self.app)}: {self._supervisor.describe()}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app.

        Raises:
            AppCrashed: the app's process ended meanwhile.
            AppTimeout: nothing came from the app within the timeout.
            AppStartupError: the app could not be started.
            AppProtocolError: the app broke the rules of ASGI.
            ObjectNotSendable: something in the scope can't cross.
            BaseException: the app's own; or what ``receive`` or ``send`` has raised.
        """
        __tracebackhide__ = True
        try:
            copy, timeout = self._supervisor.copy(), self._supervisor.plan.timeout
            if scope.get("type") == "lifespan":
                await self._lifespan.run(copy, scope, receive, send, timeout)
            else:
                if self._lifespan.is_run():
                    await self._lifespan.replay(copy)
                await Relay(copy, scope, receive, send, timeout).run()
        except BaseException as error:
            if (shown := without_ours(error)) is None:
                raise
            reraise(shown)

    @property
    def has_lifespan(self) -> bool:
        """Whether somebody runs its lifespan."""
        return self._lifespan.is_run()

    # -- reaching into the app

    @shows_app_errors
    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function in the app's process; see :meth:`TestClient.call`. It blocks, and does not need a loop."""
        return self._supervisor.copy().call(func, args, kwargs)

    def patched(self, target: str, /, *new: Any, **options: Any) -> AppPatch:
        """Patch something in the app's process, for the length of a ``with`` block; see :meth:`TestClient.patched`."""
        from isoclient.client.patching import AppPatch  # with unittest.mock, which is large

        return AppPatch.of(self._supervisor, target, new, options)

    @shows_app_errors
    def leaks(self) -> list[Leak]:
        """What the app has left behind in its process; see :meth:`TestClient.leaks`. It blocks."""
        return self._supervisor.leaks()

    @property
    def pid(self) -> int:
        """The process that the app runs in; 0 while none runs."""
        return next((copy.handle.pid for copy in list(self._supervisor.copies) if copy.is_running), 0)

    @property
    def timeout(self) -> float | None:
        """How long each wait for the app may take, in seconds; None for no limit. It may be set at any time."""
        return self._supervisor.plan.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._supervisor.plan.timeout = seconds

    # -- its life

    def __enter__(self) -> Self:
        return self

    @shows_app_errors
    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)

    @shows_app_errors
    def restart(self) -> None:
        """End the app and start a fresh copy of it. Its lifespan, if somebody runs that, starts with the next call."""
        self._supervisor.restart()

    @shows_app_errors
    def close(self) -> None:
        """End the app, in order where it can be. The next call would start it again."""
        self._supervisor.close()

    def end_with_maker(self) -> None:
        """End the app's process with a module or a fixture, as that of a client; unless somebody runs its lifespan."""
        if not self.has_lifespan:
            warn_of(self._supervisor.close, self._supervisor.plan)
