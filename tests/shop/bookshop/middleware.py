"""Around each request: an id, a time, a line in the log."""

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("bookshop.access")
request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIds:
    """Gives each request an id: that of the client, if it has a decent one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if re.fullmatch(r"[\w-]{4,64}", given) else uuid.uuid4().hex
        request_id.set(identifier)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = identifier
            await send(message)

        await self.app(scope, receive, send_with_id)


class Timing:
    """Says how long each request took, in a header and in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()

        async def send_with_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = 1000 * (time.perf_counter() - begin)
                MutableHeaders(scope=message)["server-timing"] = f"app;dur={took:.1f}"
                details = {"request_id": request_id.get(), "status": message["status"]}
                log.info("%s %s %d", scope["method"], scope["path"], message["status"], extra=details)
            await send(message)

        await self.app(scope, receive, send_with_time)
