"""What the server needs of an event loop. The modules for asyncio and trio have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from isoclient.server.calls import Call

__all__ = ["Runtime", "Signal"]


class Signal(Protocol):
    """Something has changed: look again. Any number of tasks may wait; all of them wake."""

    def set(self) -> None:
        """Wake all who wait now."""

    async def wait(self) -> None:
        """Wait for the next :meth:`set`."""


class Runtime(Protocol):
    """One event loop with one pipe."""

    def signal(self) -> Signal:
        """A new signal."""

    def spawn(self, call: Call) -> None:
        """Start a task that runs this call of the app, reports its end to it, and is ended by its ``abort``."""

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call this on the loop once what is ready now has run."""

    def call_from_thread(self, callback: Callable[[], object]) -> object:
        """The same from any thread."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call this on the loop after a while."""

    def write(self) -> None:
        """Write what is in the outbox now, and the rest as the pipe takes it."""

    def stop(self) -> None:
        """End the loop, once all is written."""

    def imprint(self) -> object:
        """What somebody who has had the loop may have changed: its settings, and how many references it has."""

    def descriptors(self) -> list[int]:
        """Those of the loop that a fork which has no use for it is to close."""

    def describe_tasks(self) -> str:
        """Where each task of the loop is suspended, in words."""
