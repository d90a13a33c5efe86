"""The server on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain
from sys import getrefcount
from types import FrameType
from typing import TYPE_CHECKING

import trio

from isoclient.server.enforcement import relieve
from isoclient.server.inspection import describe_task
from isoclient.server.runtime import Job, Pipe, Program, Served
from isoclient.system.lift import Patches
from isoclient.wire.mux import Event

if TYPE_CHECKING:
    from isoclient.leaks.noticing import Noticing
    from isoclient.server.setup import Setup

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

    def spawn(self, job: Job) -> None:
        self._nursery.start_soon(_run, job, name=f"isoclient-{job.name}-{job.number}")

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

    async def within(self, seconds: float, awaitable: Awaitable[object]) -> bool:
        with trio.move_on_after(seconds) as scope:
            await awaitable
        return not scope.cancelled_caught

    def imprint(self) -> object:
        return getrefcount(trio.lowlevel.current_trio_token())

    def descriptors(self) -> list[int]:
        return []  # nobody forks it to that end

    def describe_tasks(self) -> str:
        return "\n".join(_describe(self._nursery))

    def tasks(self) -> Iterable[tuple[object, str, list[tuple[FrameType, int]]]]:
        root = trio.lowlevel.current_root_task()
        return chain.from_iterable(map(_tasks_of, root.child_nurseries if root is not None else ()))

    def executor(self) -> object:
        return None

    def let_notice(self, noticing: Noticing) -> None:
        trio.lowlevel.add_instrument(_Spawned(noticing))

    def frames_of(self, number: int) -> Iterable[tuple[FrameType, int]]:
        for task in self._nursery.child_tasks:
            if task.name.startswith("isoclient-") and task.name.endswith(f"-{number}"):
                return task.iter_await_frames()
        return ()

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


async def _run(job: Job) -> None:
    value: object = None
    try:
        with trio.CancelScope() as scope:
            job.abort = scope.cancel
            value = await job.call()
    except trio.Cancelled:
        raise  # the whole loop is ending
    except MemoryError as error:
        relieve()  # before anything else
        job.raised(error)
    except BaseException as error:
        job.raised(error)
    else:
        if scope.cancelled_caught:
            job.cancelled()
        else:
            job.returned(value)


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


def _tasks_of(nursery: trio.Nursery) -> Iterator[tuple[object, str, list[tuple[FrameType, int]]]]:
    for task in nursery.child_tasks:
        yield task, task.name, list(task.iter_await_frames())
        for inner in task.child_nurseries:
            yield from _tasks_of(inner)


class _Spawned(trio.abc.Instrument):
    """What trio tells of its tasks."""

    def __init__(self, noticing: Noticing) -> None:
        self.task_spawned = noticing.task_spawned  # type: ignore[method-assign]


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


def run_trio(pipe: Pipe, program: Program, setup: Setup) -> None:
    """Run trio, let the server be made in it (which loads the app), and serve until the server stops.

    Args:
        pipe: the pipe to the test.
        program: what to run.
        setup: likewise. Its options are what :func:`trio.run` takes: ``clock``, ``instruments``,
            ``restrict_keyboard_interrupt_to_checkpoints``...
    """
    with Patches() as patches:  # not for the loop, but for what runs on it
        trio.run(_main, pipe, program, setup, patches, **setup.options)


async def _main(pipe: Pipe, program: Program, setup: Setup, patches: Patches) -> None:
    patches.put_back()
    try:
        await _serve(pipe, program, setup)
    finally:
        patches.lift()


async def _begin(program: Program, setup: Setup, runtime: TrioRuntime) -> Served | None:
    try:
        for awaitable in program.begin(setup, runtime):
            await awaitable
    except trio.Cancelled:
        raise
    except BaseException as error:  # here, where it has not become one of the exceptions of a nursery
        program.report(error)
        return None
    return program.make_server(setup, runtime)


async def _serve(pipe: Pipe, program: Program, setup: Setup) -> None:
    async with trio.open_nursery() as nursery:
        runtime = TrioRuntime(nursery, pipe)
        server = await _begin(program, setup, runtime)
        if server is not None:
            await runtime.serve(server.take, server.stop)
            for awaitable in program.end(runtime):
                await awaitable
        nursery.cancel_scope.cancel()
