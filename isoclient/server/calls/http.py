"""One request and its response."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Final, NoReturn

from isoclient.asgi import HTTPRules, Message
from isoclient.errors import AppProtocolError, ClientDisconnected
from isoclient.server.server import Call, Server
from isoclient.wire.mux import Stream
from isoclient.wire.protocol import CallKind

__all__ = ["HTTPCall"]

_FILE_PIECE: Final = 256 * 1024


class HTTPCall(Call):
    """One request and its response (ASGI HTTP 2.5)."""

    kind: ClassVar[CallKind] = "http"
    spec_version: ClassVar[str] = "2.5"
    extensions: ClassVar[tuple[str, ...]] = (
        "http.response.debug",
        "http.response.template",
        "http.response.trailers",
        "http.response.pathsend",
        "http.response.early_hint",
    )

    def __init__(self, server: Server, stream: Stream, argument: Any) -> None:
        super().__init__(server, stream, argument)
        self._rules = HTTPRules(argument["method"])
        self._cut_off: str | None = None  # what is missing of a response that is complete by the rules

    async def call(self) -> object:
        return await self.server.app(self._scope(), self.receive, self.send)

    def cancel(self, grace: float | None = None) -> None:
        """The client is gone; a response that is complete does not need it any more.

        What the app does then, its background tasks for one, goes on to its end, as at a server. It has a limit only
        where the caller gives one.
        """
        if grace is not None or not self._complete:
            super().cancel(grace)

    @property
    def _complete(self) -> bool:
        return self._rules.complete and self._cut_off is None

    async def receive(self) -> Message:
        """The next event, as ASGI has it: the request's body, then, when there is one, the disconnect."""
        while True:
            if self.gone or self._complete:
                self.informed = self.gone
                return {"type": "http.disconnect"}
            if self.stream.inbox:
                return self._take()
            # The client waits for what was sent so far: with the app waiting too, nothing else would get it out.
            self.server.flush()
            await self._signal.wait()

    async def send(self, message: Message) -> None:
        """Take one message of the response; wait while the client does not read."""
        if self.gone:
            self._refuse()
        try:  # here, and not by a method of all calls, for each message of an app comes by
            message = self._rules.check(message)
        except AppProtocolError:
            if self._is_of_another(message, self._rules):
                return
            raise
        self._owes = False
        kind = message["type"]
        if kind == "http.response.pathsend":
            await self._send_file(message["path"])
        elif kind == "http.response.debug":
            self._emit_debug(message["info"])
        elif kind == "http.response.template":
            self._emit_debug({"template": message["template"], "context": message["context"]})
        else:
            self.server.emit(self.stream, message, hold=True)  # not by _emit(), for each message comes here
        if self._rules.complete:
            self._signal.set()  # somebody may be waiting in receive() for the disconnect
        elif not self.stream.may_send:
            await self._wait_for_window()

    def _emit_debug(self, info: dict[str, Any]) -> None:
        self._emit({"type": "http.response.debug", "info": self.server.codec.pack_debug(info)})

    def _refuse(self) -> NoReturn:
        self.informed = True
        raise ClientDisconnected("the client is gone: it closed the response before its end")

    @property
    def waits_for_its_own(self) -> bool:
        return super().waits_for_its_own and not self._complete

    async def _send_file(self, path: str) -> None:
        """The file crosses as body events while the app is in its ``send``, for it may remove the file afterwards.

        A relative path is taken from the directory that the app is in now.
        """
        self._cut_off = f"the app returned though its http.response.pathsend of {path!r} had failed"
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._rules.check_file(size)
            left = 0 if self._rules.bodiless else size
            while left > 0 and (piece := file.read(min(left, _FILE_PIECE))):
                left -= len(piece)
                self._emit({"type": "http.response.body", "body": piece, "more_body": True})
                await self._wait_for_window()
                if self.gone:
                    self._refuse()
        self._emit({"type": "http.response.body", "body": b"", "more_body": False})
        self._cut_off = None

    def unfinished(self) -> str | None:
        return self._cut_off or self._rules.unfinished()
