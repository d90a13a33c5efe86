"""A call of the app, as the server, the event loop and a client's leaving have it: the streams provide it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from isoclient.wire import mux
from isoclient.wire.protocol import Message, StreamKind

__all__ = ["Call"]


class Call(Protocol):
    """One call of the app, which a stream of the wire is about.

    Attributes:
        kind: what the app is called for.
        number: the stream's.
        wire: the stream.
        abort: cancels the task that it runs in; set by who has made that.
        gone: the client waits no more.
        informed: and the app knows it, by what it received or by its send.
    """

    kind: ClassVar[StreamKind]
    number: int
    wire: mux.Stream
    abort: Callable[[], object]
    gone: bool
    informed: bool

    # -- its task

    async def call(self) -> object:
        """Call the app. What it returns or raises is the end of the stream."""

    def returned(self, value: object) -> None:
        """The app's call has returned."""

    def raised(self, error: BaseException) -> None:
        """The app's call has raised."""

    def cancelled(self) -> None:
        """The app's call was cancelled, by us."""

    # -- what comes for it

    def delivered(self, message: Message) -> None:
        """A message for the app has come, and is in the inbox."""

    def granted(self) -> None:
        """The client has consumed, so that more may be sent."""

    def cancel(self, grace: float | None = None) -> None:
        """The client is gone: the app sees a disconnect; if it has not ended after a grace, its task is cancelled."""

    # -- its end

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""

    @property
    def waits_for_its_own(self) -> bool:
        """Whether the app has answered all there is, and does not receive either."""

    def abort_if_open(self) -> None:
        """Cancel the app's call, if it still goes on."""

    def last_words(self) -> None:
        """The stream is about to end: what is to go out before that."""
