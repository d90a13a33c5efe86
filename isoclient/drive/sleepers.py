"""A task's sleep, on asyncio or trio: until it is woken, or a descriptor is readable, or some time has passed."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from isoclient.drive.waiting import Sleeper
from isoclient.system.modules import threading
from isoclient.system.running_loops import running_loop, running_trio

__all__ = ["TaskSleep", "sleep_here"]


class TaskSleep(Sleeper, Protocol):
    """One sleep of one task."""

    async def sleep(self, descriptor: int, seconds: float | None) -> bool:
        """Sleep until :meth:`wake`, or until a descriptor is readable (-1 for none); False when so much has passed."""


class _AsyncioSleep:
    __slots__ = ("__weakref__", "_future", "_thread", "loop")

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self._thread = threading.get_ident()
        self._future = loop.create_future()

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            if threading.get_ident() == self._thread:
                self._wake()
            else:
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(True)

    def _time_is_up(self) -> None:
        if not self._future.done():
            self._future.set_result(False)

    async def sleep(self, descriptor: int, seconds: float | None) -> bool:
        timer = None if seconds is None else self.loop.call_later(seconds, self._time_is_up)
        try:
            if descriptor >= 0:
                self.loop.add_reader(descriptor, self._wake)
            return await self._future  # type: ignore[no-any-return]
        finally:
            if timer is not None:
                timer.cancel()
            if descriptor >= 0:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self.loop.remove_reader(descriptor)


class _TrioSleep:
    __slots__ = ("__weakref__", "_is_woken", "_scope", "_thread", "_trio", "loop")

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self.loop = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._scope = trio.CancelScope()
        self._is_woken = False

    def wake(self) -> None:
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            with contextlib.suppress(self._trio.RunFinishedError):
                self.loop.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._is_woken = True
        self._scope.cancel()

    async def sleep(self, descriptor: int, seconds: float | None) -> bool:
        with self._scope:
            if seconds is not None:
                self._scope.deadline = self._trio.current_time() + seconds
            if descriptor >= 0:
                await self._trio.lowlevel.wait_readable(descriptor)
            else:
                await self._trio.sleep_forever()
        return self._is_woken or not self._scope.cancelled_caught


def sleep_here() -> TaskSleep:
    """A sleep for the task that calls this."""
    trio = running_trio()
    return _AsyncioSleep(running_loop()) if trio is None else _TrioSleep(trio)
