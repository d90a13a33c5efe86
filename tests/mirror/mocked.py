"""What tests make mocks of, and an app that uses them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Till:
    """Something to be mocked."""

    brand = "Sweda"

    def open(self, code: int, *, by: str = "") -> str:
        return f"open {code} {by}"

    async def print(self, text: str) -> int:
        return len(text)


def charge(card: str, amount: int = 1) -> str:
    return f"{card} {amount}"


def app_of(act: Callable[..., Any], *args: Any) -> App:
    """An app that does this at each request, and answers with what it returns or raises; coroutines are awaited."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            result = act(*args)
            result = await result if inspect.iscoroutine(result) else result
        except Exception as error:
            result = error
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(result).encode()})

    return app
