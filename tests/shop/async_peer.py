"""async-asgi-testclient, under the interface that the tests of the shop are written for.

Its event loop runs in a thread. What it does not have and the tests ask for is made up for here: the state of a
lifespan, templates, the history of redirects, cookies that are deleted, the codes that WebSockets are closed with.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from functools import partial, partialmethod
from io import BytesIO
from typing import Any, Final, Self
from unittest import mock

from anyio.from_thread import BlockingPortal, start_blocking_portal
from async_asgi_testclient import TestClient
from multidict import MultiDict
from starlette.websockets import WebSocketDisconnect

_HOST: Final = "testserver"
_noted: ContextVar[dict[str, Any]] = ContextVar("noted")
"""What the app has said in this request that the client does not keep."""


class AsyncClient:
    __test__ = False

    def __init__(
        self,
        app: Any,
        *,
        isolated: object = None,
        raise_server_exceptions: bool = True,
        follow_redirects: bool = True,
    ) -> None:
        self.app = _Adapted(app, raises=raise_server_exceptions)
        self.client = TestClient(self.app, headers={"host": _HOST})
        self.cookies = self.client.cookie_jar
        self.follow_redirects = follow_redirects
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            self._portal.call(self._start)
            stack.callback(self._portal.call, self.client.__aexit__, None, None, None)
            self._stack = stack.pop_all()
        return self

    async def _start(self) -> None:
        try:
            await self.client.__aenter__()
        except Exception as error:
            raise self.app.failure or error from None

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def request(self, method: str, url: str, *, follow_redirects: bool | None = None, **given: Any) -> Any:
        follow = self.follow_redirects if follow_redirects is None else follow_redirects
        return self._portal.call(partial(self._request, method, url, follow, **_renamed(**given)))

    delete = partialmethod(request, "DELETE")
    get = partialmethod(request, "GET")
    patch = partialmethod(request, "PATCH")
    post = partialmethod(request, "POST")
    put = partialmethod(request, "PUT")

    async def _request(self, method: str, url: str, follow: bool, **given: Any) -> Any:
        response = await self._request_once(method, url, **given)
        if not (follow and response.is_redirect):
            return response
        last = await self._request("GET", response.headers["location"], follow)
        last.history.insert(0, response)
        return last

    async def _request_once(self, method: str, url: str, **given: Any) -> Any:
        noted: dict[str, Any] = {}
        _noted.set(noted)
        path = url.removeprefix(f"http://{_HOST}")
        response = await self.client.open(path, method=method, allow_redirects=False, **given)
        response.template, response.context = noted.get("template"), noted.get("context")
        for name in [name for name, cookie in self.cookies.items() if cookie["max-age"] == "0"]:
            del self.cookies[name]
        return response

    def websocket_connect(self, url: str) -> "_Session":
        return _Session(self.client.websocket_connect(url), self._portal)

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self._portal.call(partial(func, *args, **kwargs))

    def patched(self, target: str, *new: Any, **options: Any) -> Any:
        return mock.patch(target, *new, **options)


def _renamed(
    *,
    params: Any = None,
    data: Any = None,
    content: Any = None,
    files: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    **same: Any,
) -> dict[str, Any]:
    """What requests and httpx take, in the words of this client."""
    named = {"query_string": params, "form": data, "data": content, "files": _opened(files) or None}
    return same | {name: value for name, value in named.items() if value is not None}


def _opened(files: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> MultiDict[Any]:
    pairs = files.items() if isinstance(files, Mapping) else files
    return MultiDict((field, (name, BytesIO(content), *more)) for field, (name, content, *more) in pairs)


class _Session:
    """One of its WebSockets, used from without the loop."""

    def __init__(self, session: Any, portal: BlockingPortal) -> None:
        self.session = session
        self.portal = portal

    def __enter__(self) -> Self:
        self.portal.call(self._connect)
        return self

    async def _connect(self) -> None:
        noted: dict[str, Any] = {}
        _noted.set(noted)
        try:
            await self.session.connect()
        except AssertionError:  # that it is accepted
            raise _disconnect(noted["close"]) from None

    def __exit__(self, *exc_info: object) -> None:
        self.portal.call(self.session.close)

    def send_json(self, value: Any) -> None:
        self.portal.call(self.session.send_json, value)

    def receive_json(self) -> Any:
        try:
            return self.portal.call(self.session.receive_json)
        except Exception as error:
            match error.args:
                case [{"type": "websocket.close"} as message]:
                    raise _disconnect(message) from None
            raise


def _disconnect(message: Any) -> WebSocketDisconnect:
    return WebSocketDisconnect(message.get("code", 1000), message.get("reason"))


class _Adapted:
    """An app for this client, which raises what the app raises, always."""

    def __init__(self, app: Any, *, raises: bool) -> None:
        self.app = app
        self.raises = raises
        self.state: dict[str, Any] = {}
        self.failure: Exception | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live({**scope, "state": self.state}, receive, send)
        elif scope["type"] == "websocket":
            await self.app({**scope, "state": self.state.copy()}, receive, _noting(send))
        else:
            extensions: dict[str, Any] = {"http.response.debug": {}}
            await self._respond({**scope, "state": self.state.copy(), "extensions": extensions}, receive, send)

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.failure = error
            raise

    async def _respond(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, _noting(send))
        except Exception:
            if self.raises:
                raise


def _noting(send: Any) -> Any:
    noted = _noted.get()

    async def note_and_send(message: Any) -> None:
        if message["type"] == "http.response.debug":
            noted.update(message["info"])
            return
        if message["type"] == "websocket.close":
            noted["close"] = message
        await send(message)

    return note_and_send
