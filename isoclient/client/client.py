"""The test client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import requests

from isoclient.client import defaults
from isoclient.client.adapter import ASGIAdapter
from isoclient.client.app_copy import warn_of
from isoclient.client.asgi_request import websocket_scope
from isoclient.client.call import shows_app_errors
from isoclient.client.client_options import (
    Configurable,
    Lifespan,
    Settings,
    make_setup,
    make_supervisor,
    name_of_app,
)
from isoclient.client.headers import as_cookies, as_headers
from isoclient.client.httpx_names import ClientNames
from isoclient.client.registry import registry
from isoclient.client.response import Response
from isoclient.client.session import absolute, check_is_request, handshake_url, read_timeout, resolve
from isoclient.client.websocket_session import WebSocketSession
from isoclient.wire.protocol import CallSpec

if TYPE_CHECKING:
    from isoclient.client.patching import AppPatch
    from isoclient.leaks.found import Leak
    from isoclient.server.limits import Limits

__all__ = ["TestClient"]


class TestClient(Configurable, ClientNames):
    """A :class:`requests.Session` whose requests go to an ASGI app.

    Args:
        app: an ASGI 3 or ASGI 2 app; or an import string, ``"package.module:attribute"``.
        base_url: what relative URLs are joined to.
        raise_server_exceptions: whether an exception of the app is raised by the request; if not, the request gets what
            there is of the app's response: an empty one of status 500, where it had not started.
        root_path: of the scope: where the app is mounted.
        backend: ``"asyncio"`` or ``"trio"``.
        backend_options: for asyncio ``use_uvloop``, ``loop_factory``, ``debug``; for trio what :func:`trio.run` takes.
        cookies: for all requests of the session: a mapping, pairs of name and value, or a cookie jar.
        headers: for all requests of the session: a mapping, or pairs of name and value, which may repeat a name.
        follow_redirects: whether requests follow redirects, where the request does not say.
        client: of the scope: the client's host and port.
        isolated (bool | str): whether the app runs in a process of its own. If not, it runs in a thread of this one.
            ``"test"`` gives each test of a run of pytest a fresh process, from the test's first use of the client on;
            within ``with`` there is one for all of the block. ``"request"`` forks a fresh copy of the app, from this
            process as it is then, for each request, WebSocket or :meth:`call`; nothing that one does survives it, and
            within ``with`` each copy runs its own lifespan. ``"client"`` is True: one process as long as the client is
            used.
        start_method: how that process starts: ``"fork"`` (a snapshot of this process), ``"forkserver"`` or ``"spawn"``
            (a fresh interpreter). By default, an app object is forked and an import string gets a fresh interpreter.
        timeout: how long each wait for the app may take, in seconds; None for no limit. The start of its process, with
            the import of the app, may take 10 s all the same.
        factory: whether the app is what calling ``app`` returns.
        restart: whether the first use after a crash starts the app again; if not, it raises :class:`AppCrashed`. What
            ends nothing, as ``sys.exit`` in a handler of an app that is not isolated, needs no such start.
        limits: what the app's process may use; see :class:`Limits`.
        leaks: whether :meth:`leaks` can tell what the app has left behind; it must be isolated for that.
        lifespan (str): whether ``with`` runs the app's lifespan: ``"auto"`` if it has one, which an app denies that
            raises over the type of the scope, or answers as to a request; ``"on"`` in any case, so that an app without
            one is an error; ``"off"`` not at all.

    The app starts at the first use, or with ``with``, which also runs its lifespan.

    Of ``isolated``, ``start_method``, ``timeout`` and ``leaks``, what is not given may be set for a whole run of
    pytest: by ``--isolated`` and the other options of isoclient's plugin.

    Raises:
        TypeError: the app is no ASGI app.
        ValueError: an option has a value that it does not take.

    Example:
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"Hello"})
        >>> with TestClient(app, isolated=True) as client:
        ...     client.get("/").text
        'Hello'
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows
    __test__ = False  # pytest: this is no test class, whatever its name

    trust_results = False
    """Whether what :meth:`call` returns may import modules and run any code in the test's process."""

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: str = "asyncio",
        backend_options: Mapping[str, Any] | None = None,
        cookies: Any = None,
        headers: Any = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
        *,
        isolated: defaults.Isolated = defaults.isolated,
        start_method: str | None = defaults.start_method,
        timeout: float | None = defaults.timeout,
        factory: bool = False,
        restart: bool = True,
        limits: Limits | None = None,
        leaks: bool = defaults.leaks,
        lifespan: Lifespan = "auto",
    ) -> None:
        super().__init__()
        self.app = app
        self.base_url = base_url
        self.follow_redirects = follow_redirects
        self._settings = Settings(raise_server_exceptions, root_path, client)
        self.headers.update({"user-agent": "testclient", **as_headers(headers)})
        if cookies is not None:
            self.cookies.update(as_cookies(cookies))
        setup = make_setup(app, factory=factory, backend=backend, options=backend_options, limits=limits)
        self._supervisor = make_supervisor(
            setup,
            isolated=isolated,
            start_method=start_method,
            timeout=timeout,
            restarts=restart,
            lifespan=lifespan,
            leaks=leaks,
        )
        self._supervisor.plan.reach = "client.call"
        if not isinstance(isolated, defaults.Default):
            self._supervisor.plan.sharing = "isolated=False for its client shares"
        adapter = ASGIAdapter(self._supervisor, self._settings)
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        self._blocks: list[None] = []  # one for each ``with`` that it is in; a list, for threads may enter and leave
        self._supervisor.belong_to(self)
        registry.enter(self, self._supervisor.plan.usage)

    def __repr__(self) -> str:
        return f"<TestClient for {name_of_app(self.app)}: {self._supervisor.describe()}>"

    # -- requests

    @shows_app_errors
    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a request, as :meth:`requests.Session.request` does. The URL may be relative to ``base_url``.

        Two options have the names that httpx gives them, too, so that tests written for a client of its kind run:
        ``content`` is ``data``, and ``follow_redirects`` is ``allow_redirects``.

        Returns:
            The response of the app.

        Raises:
            AppCrashed: the app's process ended meanwhile.
            AppTimeout: nothing came from the app within the timeout.
            AppStartupError: the app could not be started.
            AppProtocolError: the app broke the rules of ASGI.
            TypeError: the same is given under both names.
            BaseException: the app's own, with ``raise_server_exceptions``.
        """
        options = resolve(args, kwargs, follow_redirects=self.follow_redirects)
        return super().request(method, absolute(self.base_url, url), **options)  # type: ignore[return-value]

    @shows_app_errors
    def get(self, url: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a GET request."""
        return self.request("GET", url, **kwargs)

    @shows_app_errors
    def options(self, url: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send an OPTIONS request."""
        return self.request("OPTIONS", url, **kwargs)

    @shows_app_errors
    def head(self, url: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a HEAD request; it follows no redirects, where the request does not say so."""
        if kwargs.get("follow_redirects") is None:
            kwargs.setdefault("allow_redirects", False)
        return self.request("HEAD", url, **kwargs)

    @shows_app_errors
    def post(self, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a POST request."""
        return self.request("POST", url, data=data, json=json, **kwargs)

    @shows_app_errors
    def put(self, url: str, data: Any = None, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a PUT request."""
        return self.request("PUT", url, data=data, **kwargs)

    @shows_app_errors
    def patch(self, url: str, data: Any = None, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a PATCH request. What patches something in the app is :meth:`patched`."""
        check_is_request(url, data, kwargs)
        return self.request("PATCH", url, data=data, **kwargs)

    @shows_app_errors
    def delete(self, url: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Send a DELETE request."""
        return self.request("DELETE", url, **kwargs)

    @shows_app_errors
    def send(self, request: requests.PreparedRequest, **options: Any) -> Response:
        """Send a prepared request, as :meth:`requests.Session.send` does.

        ``follow_redirects`` is another name of ``allow_redirects``; without either, the client's holds.
        """
        follow = options.pop("follow_redirects", None)
        if follow is not None:
            options["allow_redirects"] = follow
        options.setdefault("allow_redirects", self.follow_redirects)
        return super().send(request, **options)  # type: ignore[return-value,unused-ignore]

    # -- WebSockets

    @shows_app_errors
    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **options: Any
    ) -> WebSocketSession:
        """Open a WebSocket.

        Args:
            url: its URL, absolute (``ws://``, ``wss://``) or relative to ``base_url``.
            subprotocols: those that the client offers.
            **options: what :func:`requests.get` takes: ``params``, ``headers``, ``cookies``, ``auth``, ``timeout``...

        Returns:
            The session, to be used in a ``with`` block.

        Raises:
            WebSocketDisconnect: the app refused the handshake.
            WebSocketDenialResponse: it refused it with an HTTP response.
            AppCrashed: the app's process ended meanwhile.
            AppTimeout: nothing came from the app within the timeout.
            AppStartupError: the app could not be started.
            AppProtocolError: the app broke the rules of ASGI.
            BaseException: the app's own, with ``raise_server_exceptions``.
        """
        timeout = read_timeout(options.pop("timeout", None), self.timeout)
        url = handshake_url(absolute(self.base_url, url))
        request = self._handshake_request(url, list(subprotocols or ()), options)
        scope = websocket_scope(request, self.root_path, self.client_address)
        call = self._supervisor.copy().open(
            CallSpec("websocket", scope, ({"type": "websocket.connect"},)),
            doing=f"handling WebSocket {scope['path']}",
            timeout=timeout,
            request=request,
        )
        return WebSocketSession(call, scope, request, raises=self.raise_server_exceptions)

    def _handshake_request(
        self, url: str, subprotocols: list[str], options: dict[str, Any]
    ) -> requests.PreparedRequest:
        """What requests would send for the handshake (RFC 6455, 4.1), so that its auth, cookies and params work."""
        headers = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version": "13",
        }
        if subprotocols:
            headers["sec-websocket-protocol"] = ", ".join(subprotocols)
        known = ("params", "data", "json", "files", "auth", "cookies", "hooks")
        parts = {name: options.pop(name, None) for name in known}
        headers.update(as_headers(options.pop("headers", None)))
        for ignored in ("allow_redirects", "follow_redirects", "proxies", "stream", "verify", "cert"):
            options.pop(ignored, None)
        if options:
            raise TypeError(f"websocket_connect() got an unexpected option: {', '.join(options)}")
        return self.prepare_request(requests.Request("GET", url, headers=headers, **parts))

    # -- reaching into the app

    @shows_app_errors
    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function in the app's process, on its event loop.

        Args:
            func: a function, sync or async; a lambda will do. It sees the modules of the app's process. A reference to
                the app, in a closure or among the arguments, means the app over there.
            *args: for the function.
            **kwargs: for the function.

        Returns:
            What it returns.

        Raises:
            ObjectNotSendable: something can't cross from one process to the other.
            ObjectNotLoadable: what it returns is of a class of a module that the test has not imported, or would run
                other code here than what makes objects; see :attr:`trust_results`.
            TypeError: it is a method of a list or another container of the test's, and the app has a process of its
                own: the call would change a copy.
            BaseException: what the function raises.

        Example:
            >>> import os
            >>> async def app(scope, receive, send): ...
            >>> with TestClient(app, isolated=True) as client:
            ...     client.call(os.getpid) == client.pid
            True
        """
        return self._supervisor.copy().call(func, args, kwargs, self.trust_results)

    def patched(self, target: str, /, *new: Any, **options: Any) -> AppPatch:
        """Patch something in the app's process, for the length of a ``with`` block, by :func:`unittest.mock.patch`.

        Args:
            target: what is patched, ``"package.module.attribute"``; the app's process imports the module.
            *new: what comes in its place, a function or a value that can cross to the other process. Without it, a mock
                does: one to be awaited where what is patched is an ``async def``.
            **options: those of :func:`unittest.mock.patch`: ``return_value``, ``side_effect``, ``autospec``...

        Returns:
            The context manager, which tells the calls that were made.

        Raises:
            TypeError: that is no such name, or there are two replacements.

        Example:
            >>> import os
            >>> async def app(scope, receive, send): ...
            >>> client = TestClient(app, isolated=True)
            >>> with client.patched("os.getcwd", return_value="/elsewhere") as getcwd:
            ...     client.call(lambda: os.getcwd())
            '/elsewhere'
            >>> getcwd.called, client.call(os.getcwd) == os.getcwd()
            (True, True)
        """
        from isoclient.client.patching import AppPatch  # with unittest.mock, which is large

        return AppPatch.of(self._supervisor, target, new, options)

    @shows_app_errors
    def leaks(self) -> list[Leak]:
        """What the app has left behind in its process: what is there now and was not before its first use.

        What requests and WebSockets that are open have made is not left behind yet; nor is, until its shutdown, what
        the lifespan has made. Where the app has ended, it is what it had left behind by then, after its shutdown; with
        ``isolated="request"``, what all of its copies had.

        Returns:
            A :class:`Leak` for each thing; an empty list for a clean app.

        Raises:
            RuntimeError: the client was not made with ``leaks=True``; or the app has died, and with it what there was.
            AppCrashed, AppTimeout: see there.

        Example:
            >>> import os
            >>> async def app(scope, receive, send):
            ...     os.environ["SHOP_MODE"] = "sale"
            ...     await send({"type": "http.response.start", "status": 200})
            ...     await send({"type": "http.response.body"})
            >>> with TestClient(app, isolated=True, leaks=True, lifespan="off") as client:
            ...     client.get("/").status_code, [leak.what for leak in client.leaks()]
            (200, ["SHOP_MODE = 'sale' (was unset)"])
        """
        return self._supervisor.leaks()

    @property
    def app_state(self) -> dict[str, Any]:
        """The state that the app's lifespan has filled, within ``with``; empty without.

        In-process it is the app's own. From another process it is a copy, in which what can't cross is a
        :class:`~isoclient.StandIn`.
        """
        return self._supervisor.state()

    @property
    def timeout(self) -> float | None:
        """How long each wait for the app may take, in seconds; None for no limit. It may be set at any time."""
        return self._supervisor.plan.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._supervisor.plan.timeout = seconds

    @property
    def pid(self) -> int:
        """The process that the app runs in; it is started if it does not run.

        With ``isolated="request"``, that of the last request, which may have ended.
        """
        return self._supervisor.pid

    # -- its life

    @shows_app_errors
    def __enter__(self) -> Self:
        """Start the app and run its lifespan startup.

        Within another ``with`` of the same client nothing is started, nor ended: that is for the outermost.

        Raises:
            AppStartupError: the app says that its startup failed, or can't be loaded.
            BaseException: the app's own, from its startup.
        """
        self._supervisor.enter()
        self._blocks.append(None)
        return self

    @shows_app_errors
    def __exit__(self, *exc_info: object) -> None:
        """Run the app's lifespan shutdown and end the app, if this is the outermost ``with``."""
        if self._blocks:  # else it has been closed meanwhile
            self._blocks.pop()
        if not self._blocks:
            self.close()

    @shows_app_errors
    def restart(self) -> None:
        """End the app and start a fresh copy of it; with ``isolated="request"``, end what still runs."""
        self._supervisor.restart()

    @shows_app_errors
    def close(self) -> None:
        """End the app, in order where it can be, within ``with`` too. The next use would start it again."""
        self._blocks.clear()
        super().close()
        self._supervisor.close()

    def end_with_maker(self) -> None:
        """End the app's process, unless within ``with``. The next use would start it again.

        It is called by isoclient's plugin, when the tests of the module are over that has made the client as it was
        imported, or the fixture of a wider scope than a test. What goes wrong is told by a warning.
        """
        if not (self._blocks or self._supervisor.plan.launcher.shares_memory):
            warn_of(self._supervisor.close, self._supervisor.plan)
