"""Other clients, under the interface that the tests of the shop are written for: Starlette's own, and httpx's."""

import asyncio
import gc
import os
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Self
from unittest import mock

import httpx
from anyio.from_thread import start_blocking_portal

from isoclient import isolate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have another version of httpx
    from starlette.testclient import TestClient as StarletteClient


class PeerClient(StarletteClient):
    __test__ = False

    def __init__(self, app: Any, *args: Any, isolated: object = None, **kwargs: Any) -> None:
        super().__init__(app, *args, **kwargs)

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.portal is None:
            return func(*args, **kwargs)
        return self.portal.call(partial(func, *args, **kwargs))

    def patched(self, target: str, *new: Any, **options: Any) -> Any:
        """isoclient's patch of something in the app, which is here."""
        return mock.patch(target, *new, **options)


class IsolatedPeerClient(PeerClient):
    """The same, given an app that runs in a process of its own, which is reached into by its own means."""

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self.isolated = isolate(app)
        super().__init__(self.isolated, *args, **kwargs)

    def __exit__(self, *exc_info: Any) -> None:
        with self.isolated:
            super().__exit__(*exc_info)

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self.isolated.call(func, *args, **kwargs)

    def patched(self, target: str, *new: Any, **options: Any) -> Any:
        return self.isolated.patched(target, *new, **options)


class HttpxClient:
    """httpx's asynchronous client, whose event loop runs in a thread; so several threads can use it at once.

    It knows neither lifespan nor WebSockets, and leaves the former to others.
    """

    __test__ = False

    def __init__(
        self,
        app: Any,
        *,
        isolated: object = None,
        raise_server_exceptions: bool = True,
        follow_redirects: bool = True,
    ) -> None:
        self.app = self._given(app)
        transport = httpx.ASGITransport(self._with_state, raise_app_exceptions=raise_server_exceptions)
        self.client = httpx.AsyncClient(
            transport=transport, base_url="http://testserver", follow_redirects=follow_redirects
        )
        self.state: dict[str, Any] = {}
        self._stack = ExitStack()

    def _given(self, app: Any) -> Any:
        return app

    async def _with_state(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": self.state.copy()}, receive, send)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(_lifespan(self.app, self.state)))
            stack.callback(self._portal.call, self.client.aclose)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._stack.close()

    def __getattr__(self, name: str) -> Any:
        """Its methods that make requests; and what else it has, its cookies."""
        found = getattr(self.client, name)
        if not iscoroutinefunction(found):
            return found
        return lambda *args, **kwargs: self._portal.call(partial(found, *args, **kwargs))

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self._portal.call(partial(func, *args, **kwargs))

    def patched(self, target: str, *new: Any, **options: Any) -> Any:
        return mock.patch(target, *new, **options)


class IsolatedHttpxClient(HttpxClient):
    """The same, given an app that runs in a process of its own."""

    def _given(self, app: Any) -> Any:
        return isolate(app)

    def __exit__(self, *exc_info: Any) -> None:
        with self.app:
            super().__exit__(*exc_info)

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self.app.call(func, *args, **kwargs)

    def patched(self, target: str, *new: Any, **options: Any) -> Any:
        return self.app.patched(target, *new, **options)


@asynccontextmanager
async def _lifespan(app: Any, state: dict[str, Any]) -> AsyncIterator[None]:
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "state": state}, incoming.get, outgoing.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    if (await outgoing.get())["type"] == "lifespan.startup.failed":
        await running  # which raises why
    yield
    incoming.put_nowait({"type": "lifespan.shutdown"})
    await running


class ForkingClient(PeerClient):
    """The same, and for each app a bare fork that starts it, asks it once and ends: no isolation can do without that.

    It is not quite the floor of isolation, for each app is started and asked in this process, too.
    """

    def __enter__(self) -> "ForkingClient":
        pid = os.fork()
        if pid == 0:
            gc.freeze()
            code = 1
            try:
                asyncio.run(_use_once(self.app))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0) == (pid, 0)
        super().__enter__()
        return self


async def _use_once(app: Any) -> None:
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    state: dict[str, Any] = {}
    lifespan = asyncio.create_task(app({"type": "lifespan", "state": state}, incoming.get, outgoing.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    started = await outgoing.get()
    if started["type"] == "lifespan.startup.failed":  # as a test wants it
        return
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "state": state}
    where = {"path": "/books", "raw_path": b"/books", "query_string": b"", "root_path": "", "headers": []}
    await app({**scope, **where}, _receive, outgoing.put)
    assert (await outgoing.get())["status"] == 200
    incoming.put_nowait({"type": "lifespan.shutdown"})
    await lifespan


async def _receive() -> dict[str, Any]:
    return {"type": "http.request"}
