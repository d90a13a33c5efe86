"""Litestar's test client, under the interface that the tests of the shop are written for.

It takes any app, but some of what it has is for apps of Litestar's alone: that is made up for here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

from litestar.exceptions import WebSocketDisconnect as LitestarDisconnect
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect


class LitestarClient(TestClient[Any]):
    def __init__(
        self,
        app: Any,
        *,
        isolated: object = None,
        raise_server_exceptions: bool = True,
        follow_redirects: bool = True,
    ) -> None:
        super().__init__(_Adapted(app, raises=raise_server_exceptions))
        self.base_url = "http://testserver"  # the constructor would warn of it
        self.follow_redirects = follow_redirects

    def websocket_connect(self, *args: Any, **kwargs: Any) -> WebSocketTestSession:
        made = super().websocket_connect(*args, **kwargs)
        return _Session(made.client, made.scope)

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        with self.portal() as portal:
            return portal.call(partial(func, *args, **kwargs))

    def patched(self, target: str, *new: Any, **options: Any) -> Any:
        return mock.patch(target, *new, **options)


class _Session(WebSocketTestSession):
    """One that ends with the exception that Starlette's has."""

    def receive(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return super().receive(block, timeout)
        except LitestarDisconnect as ended:
            raise WebSocketDisconnect(ended.code, ended.detail) from None


class _Adapted:
    """An app of Starlette's for a client of Litestar's.

    It keeps the state of its lifespan for its requests, names its templates as Litestar does, and answers with what it
    has sent before it raised, if the client is not to raise that.
    """

    def __init__(self, app: Any, *, raises: bool) -> None:
        self.app = app
        self.raises = raises
        self.state: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.state = scope["state"]
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.app({**scope, "state": self.state.copy()}, receive, send)
        else:
            await self._respond({**scope, "state": self.state.copy()}, receive, send)

    async def _respond(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_as_litestar(message: Any) -> None:
            if message["type"] == "http.response.debug":
                info = message["info"]
                message = {"type": "http.response.template", "template": info["template"], "context": info["context"]}
            await send(message)

        try:
            await self.app({**scope, "extensions": {"http.response.debug": {}}}, receive, send_as_litestar)
        except Exception:
            if self.raises:
                raise
