"""Starlette's own test client, under the interface that the tests of the shop are written for."""

import asyncio
import gc
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

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
