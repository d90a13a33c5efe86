"""The transport adapter of requests: a prepared request in, a call of the app, a response out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter

from isoclient.client import body
from isoclient.client.exchange import Exchange
from isoclient.client.request_scope import http_scope
from isoclient.client.response import Response
from isoclient.client.settings import Settings
from isoclient.client.supervisor import Supervisor
from isoclient.client.timeout import read_timeout
from isoclient.wire.protocol import CallSpec

__all__ = ["ASGIAdapter"]


class ASGIAdapter(BaseAdapter):
    """Sends requests to an app.

    Args:
        supervisor: has the app.
        settings: those of the client, which may change from one request to the next.
    """

    def __init__(self, supervisor: Supervisor, settings: Settings) -> None:
        super().__init__()
        self._supervisor = supervisor
        self._settings = settings

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request; return when the app's call has ended, or, with ``stream``, at the response's start.

        Raises:
            AppCrashed: the app's process died.
            AppTimeout: nothing came from the app in time.
            AppStartupError: the app could not be loaded.
            BaseException: the app's own.
        """
        content = body.whole(request.body)
        if content is None:
            messages = body.messages_of_pieces(request.body)
        else:
            _correct_length(request, len(content))
            messages = body.messages(content)
        scope = http_scope(request, self._settings.root_path, self._settings.client)
        call = self._supervisor.open(
            # What is whole already goes along with the scope. A generator may do anything before its first piece.
            CallSpec("http", scope, () if content is None else (next(messages),)),
            doing=f"handling {request.method} {scope['path']}",
            timeout=read_timeout(timeout, self._supervisor.plan.timeout),
            request=request,
        )
        exchange = Exchange(call, request, self, raises=self._settings.raises)
        try:
            exchange.upload(messages)
            return exchange.streamed() if stream else exchange.whole()
        except BaseException:
            # Where it is not the app that has failed, but a generator of the test's, or Ctrl-C: nobody waits any more.
            call.abandon()
            raise

    def close(self) -> None:
        """The client ends the app, not its adapter."""


def _correct_length(request: requests.PreparedRequest, size: int) -> None:
    """requests, given an array that it prepares itself, counts the items, and not the bytes of them."""
    given: Any = request.body
    if not isinstance(given, str | bytes | None) and "Transfer-Encoding" not in request.headers:
        request.headers["Content-Length"] = str(size)
