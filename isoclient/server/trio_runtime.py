"""The server on trio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import trio

from isoclient.server import relief
from isoclient.server.calls import Call
from isoclient.server.inspection import describe_task
from isoclient.server.pipe import Pipe
from isoclient.system.lift import Patches
from isoclient.wire.mux import Event

if TYPE_CHECKING:
    from isoclient.server.server import Server

__all__ = ["TrioRuntime", "run_trio"]


class TrioRuntime:
    """See :class:`isoclient.server.runtime.Runtime`."""

    def __init__(self, nursery: trio.Nursery, pipe: Pipe) -> None:
        self._nursery = nursery
        self._pipe = pipe
        self._writing = False
        self._stopped = trio.Event()
        self._written = trio.Event()
        self._soon = trio.lowlevel.current_trio_token().run_sync_soon

    def signal(self) -> TrioSignal:
        return TrioSignal()

    def spawn(self, call: Call) -> None:
        self._nursery.start_soon(_run, call, name=f"isoclient-{call.kind}-{call.number}")

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._soon(callback)

    def call_from_thread(self, callback: Callable[[], object]) -> None:
        self._soon(callback)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self._nursery.start_soon(_call_later, seconds, callback)

    def write(self) -> None:
        if not self._writing and not self._pipe.write():
            self._writing = True
            self._nursery.start_soon(self._write_more)

    async def _write_more(self) -> None:
        while not self._pipe.write():
            await trio.lowlevel.wait_writable(self._pipe.sock)
        self._writing = False
        self._written.set()

    def stop(self) -> None:
        self._stopped.set()

    def imprint(self) -> object:
        return getrefcount(trio.lowlevel.current_trio_token())

    def descriptors(self) -> list[int]:
        return []  # nobody forks it to that end

    def describe_tasks(self) -> str:
        return "\n".join(_describe(self._nursery))

    async def serve(self, take: Callable[[Event], None], stop: Callable[[], None]) -> None:
        """Hand the events of the pipe to ``take`` until :meth:`stop`; at the end of file, call ``stop``."""
        self._nursery.start_soon(self._read, take, stop)
        await self._stopped.wait()
        while self._writing:
            self._written = trio.Event()
            await self._written.wait()

    async def _read(self, take: Callable[[Event], None], stop: Callable[[], None]) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._pipe.sock)
            events = self._pipe.read()
            if events is None:
                stop()
                return
            for event in events:
                take(event)


async def _run(call: Call) -> None:
    value: object = None
    try:
        with trio.CancelScope() as scope:
            call.abort = scope.cancel
            value = await call.call()
    except trio.Cancelled:
        raise  # the whole loop is ending
    except MemoryError as error:
        relief.relieve()  # before anything else
        call.raised(error)
    except BaseException as error:
        call.raised(error)
    else:
        if scope.cancelled_caught:
            call.cancelled()
        else:
            call.returned(value)


async def _call_later(seconds: float, callback: Callable[[], object]) -> None:
    await trio.sleep(seconds)
    callback()


def _describe(nursery: trio.Nursery) -> list[str]:
    """The tasks of a nursery, and those of the nurseries that they have opened."""
    described: list[str] = []
    for task in nursery.child_tasks:
        if not task.name.startswith("isoclient.server"):
            described += describe_task(task.name, task.iter_await_frames())
        for inner in task.child_nurseries:
            described += _describe(inner)
    return described


class TrioSignal:
    """An event that is never set for longer than a moment."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        event, self._event = self._event, trio.Event()
        event.set()

    async def wait(self) -> None:
        await self._event.wait()


def run_trio(pipe: Pipe, make_server: Callable[[TrioRuntime], Server | None], options: Mapping[str, Any]) -> None:
    """Run trio, let the server be made in it (which loads the app), and serve until the server stops.

    Args:
        pipe: the pipe to the test.
        make_server: makes the server, or returns None if the app can't be loaded.
        options: what :func:`trio.run` takes: ``clock``, ``instruments``,
            ``restrict_keyboard_interrupt_to_checkpoints``...
    """
    with Patches() as patches:  # not for the loop, but for what runs on it
        trio.run(_main, pipe, make_server, patches, **options)


async def _main(pipe: Pipe, make_server: Callable[[TrioRuntime], Server | None], patches: Patches) -> None:
    patches.put_back()
    try:
        await _serve(pipe, make_server)
    finally:
        patches.lift()


async def _serve(pipe: Pipe, make_server: Callable[[TrioRuntime], Server | None]) -> None:
    async with trio.open_nursery() as nursery:
        runtime = TrioRuntime(nursery, pipe)
        server = make_server(runtime)
        if server is not None:
            await runtime.serve(server.take, server.stop)
        nursery.cancel_scope.cancel()
