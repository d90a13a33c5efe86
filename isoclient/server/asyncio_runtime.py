"""The server on asyncio, with the loop of its policy, uvloop's, or any other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from isoclient.compat.python_asyncio import default_executor, descriptors
from isoclient.server.enforcement import relieve
from isoclient.server.inspection import describe_tasks, walk_await_chain
from isoclient.server.runtime import Job, Pipe, Program
from isoclient.system.lift import Patches
from isoclient.system.modules import time
from isoclient.wire.mux import Event

if TYPE_CHECKING:
    from isoclient.leaks.noticing import Noticing
    from isoclient.server.setup import Setup

__all__ = ["AsyncioRuntime", "run_asyncio"]


class AsyncioRuntime:
    """See :class:`isoclient.server.runtime.Runtime`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipe: Pipe) -> None:
        self._loop = loop
        self._pipe = pipe
        self._tasks: dict[Job, asyncio.Task[None]] = {}  # for the loop itself refers to them but weakly
        self._writing = False
        self._is_stopped = False
        self._finished = loop.create_future()
        self.signal = partial(AsyncioSignal, loop)
        self.call_soon = loop.call_soon
        self.call_from_thread = loop.call_soon_threadsafe
        self.call_later = loop.call_later

    def spawn(self, job: Job) -> None:
        coroutine = _run(job, self._tasks)
        try:
            self._loop.create_task(coroutine, name=f"isoclient-{job.name}-{job.number}")
        except Exception as error:  # of a task factory of the app's
            coroutine.close()
            job.raised(error)

    def write(self) -> None:
        if not self._writing and not self._pipe.write():
            self._writing = True
            self._loop.add_writer(self._pipe.sock, self._write_more)

    def _write_more(self) -> None:
        if self._pipe.write():
            self._writing = False
            self._loop.remove_writer(self._pipe.sock)
            self._finish_if_done()

    def stop(self) -> None:
        self._is_stopped = True
        self._finish_if_done()

    async def within(self, seconds: float, awaitable: Awaitable[object]) -> bool:
        try:
            async with asyncio.timeout(seconds) as limit:
                await awaitable
        except TimeoutError:
            if not limit.expired():
                raise  # its own
            return False
        return True

    def _finish_if_done(self) -> None:
        if self._is_stopped and not self._writing and not self._finished.done():
            self._finished.set_result(None)

    def imprint(self) -> object:
        loop: Any = self._loop
        settings = (
            loop.get_exception_handler(),
            loop.get_task_factory(),
            loop.get_debug(),
            getattr(loop, "slow_callback_duration", None),
            default_executor(loop),
        )
        del loop
        return settings, sys.getrefcount(self._loop)

    def descriptors(self) -> list[int]:
        # To close the loop would take its registrations out of the epoll instance, which a fork shares.
        return descriptors(self._loop)

    def describe_tasks(self) -> str:
        return describe_tasks(asyncio.all_tasks(self._loop))

    def tasks(self) -> Iterable[tuple[object, str, list[tuple[FrameType, int]]]]:
        for task in asyncio.all_tasks(self._loop):
            yield task, task.get_name(), list(walk_await_chain(task.get_coro()))

    def executor(self) -> object:
        return default_executor(self._loop)

    def let_notice(self, noticing: Noticing) -> None:
        noticing.watch_loop(self._loop)

    def frames_of(self, number: int) -> Iterable[tuple[FrameType, int]]:
        found = (task.get_coro() for job, task in self._tasks.items() if job.number == number)
        return walk_await_chain(next(found, None))

    def serve(self, take: Callable[[Event], None], stop: Callable[[], None]) -> None:
        """Hand the events of the pipe to ``take`` until :meth:`stop`; at the end of file, call ``stop``.

        Not in a task: an app may cancel all that there are, and wait for their end, before it ends itself.
        """
        self._loop.add_reader(self._pipe.sock, self._read, take, stop)
        try:
            self._loop.run_until_complete(self._finished)
        finally:  # what ends the loop from within comes before the next request, which is not to be begun any more
            self._loop.remove_reader(self._pipe.sock)

    def _read(self, take: Callable[[Event], None], stop: Callable[[], None]) -> None:
        events = self._pipe.read()
        if events is None:
            self._loop.remove_reader(self._pipe.sock)
            stop()
            return
        for event in events:
            take(event)


async def _run(job: Job, running: dict[Job, asyncio.Task[None]]) -> None:
    # By the task itself: with an eager task factory it may have ended before whoever makes it has it in hand. Before it
    # begins, the loop keeps it.
    task = asyncio.current_task()
    assert task is not None
    running[job], job.abort = task, task.cancel
    try:
        value = await job.call()
    except asyncio.CancelledError as error:
        if job.gone:
            job.cancelled()
        else:
            job.raised(error)
    except MemoryError as error:
        relieve()  # before anything else
        job.raised(error)
    except BaseException as error:
        # SystemExit and KeyboardInterrupt too: let out of a task, they would end the loop under all other streams.
        job.raised(error)
    else:
        job.returned(value)
    finally:
        # Here, and not in a callback of the task, for which the loop would have to go round once more.
        running.pop(job, None)


class AsyncioSignal:
    """An event that is never set for longer than a moment."""

    __slots__ = ("_loop", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # An app that asks again and again whether its client is still there cancels one wait after the other.
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            raise


def run_asyncio(pipe: Pipe, program: Program, setup: Setup) -> None:
    """Make a loop, let the server be made on it (which loads the app), and serve until the server stops.

    Args:
        pipe: the pipe to the test.
        program: what to run.
        setup: likewise. Its options are ``use_uvloop`` (bool), ``loop_factory`` (a callable that returns a new event
            loop), ``debug`` (bool).

    Raises:
        BaseException: what ended the loop from within, or kept the server from being made.
    """
    options = setup.options
    patches = Patches()  # not for the loop, but for what runs on it
    try:  # and no ExitStack, which is much code, and so much memory that a fork has to copy
        patches.lift()
        with asyncio.Runner(debug=options.get("debug"), loop_factory=_loop_factory(**options)) as runner:
            try:
                _run_on(runner.get_loop(), patches, pipe, program, setup)
            finally:
                patches.lift()
    finally:
        patches.put_back()


def _run_on(loop: asyncio.AbstractEventLoop, patches: Patches, pipe: Pipe, program: Program, setup: Setup) -> None:
    if type(loop).time is asyncio.BaseEventLoop.time:
        vars(loop)["time"] = time.monotonic
    # A module that asks for the loop while it is imported gets the one that it will run in.
    asyncio.set_event_loop(loop)
    runtime = AsyncioRuntime(loop, pipe)
    patches.put_back()
    run = partial(_run_until_complete, loop, patches)
    for awaitable in program.begin(setup, runtime):
        run(awaitable)
    context = copy_context()  # what importing the app sets in its own is not for the calls of it
    server = program.make_server(setup, runtime)
    if server is not None:
        patches.lift()
        loop.call_soon(patches.put_back)
        try:
            context.run(runtime.serve, server.take, server.stop)
        except MemoryError:
            relieve()  # before anything else: the end of the loop may start a thread
            server.disown_calls()
            raise
        except BaseException:  # of a task of the app: sys.exit()
            server.disown_calls()
            raise
        finally:
            for awaitable in program.end(runtime):
                run(awaitable)


def _run_until_complete(loop: asyncio.AbstractEventLoop, patches: Patches, awaitable: Awaitable[object]) -> None:
    """Run the loop for that, with what tests patch in force for what runs there, and not for itself."""
    patches.lift()
    loop.call_soon(patches.put_back)
    loop.run_until_complete(awaitable)


def _loop_factory(
    *,
    use_uvloop: bool = False,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    debug: bool | None = None,
) -> Callable[[], asyncio.AbstractEventLoop]:
    if not use_uvloop:
        return loop_factory or asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
