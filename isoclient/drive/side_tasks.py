"""A task beside the one that runs, and what else the two event loops have in common for somebody who calls an app."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

from isoclient.system.running_loops import running_loop, running_trio

__all__ = ["Start", "beside", "is_of_another", "shielded"]

Start: TypeAlias = "Callable[[Callable[[], Awaitable[None]]], object]"
"""Starts a task beside."""


async def beside(main: Callable[[Start], Awaitable[None]]) -> None:
    """Await this function, which may start tasks beside; they are cancelled when it ends, and waited for.

    That wait is as long as a task makes it that does not heed its cancellation, as in any nursery: what runs there is
    the caller's own code, and its own loop would not end without it. What such a task raises is for itself to keep.
    """
    trio = running_trio()
    if trio is None:
        await _beside_on_asyncio(main)
    else:
        await _beside_on_trio(trio, main)


async def _beside_on_asyncio(main: Callable[[Start], Awaitable[None]]) -> None:
    loop, tasks = running_loop(), set[Any]()

    def start(func: Callable[[], Awaitable[None]]) -> None:
        task = loop.create_task(func())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        await main(start)
    except GeneratorExit:  # nothing can be waited for any more
        with contextlib.suppress(RuntimeError):  # the loop is closed
            for task in tasks:
                task.cancel()
        tasks.clear()
        raise
    finally:
        for task in list(tasks):
            task.cancel()
        if tasks:
            await sys.modules["asyncio"].wait(tasks)


async def _beside_on_trio(trio: Any, main: Callable[[Start], Awaitable[None]]) -> None:
    failed: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            await main(nursery.start_soon)
        except GeneratorExit:
            raise
        except BaseException as error:
            failed = error  # out of a nursery it would come in a group
        nursery.cancel_scope.cancel()
    if failed is not None:
        try:
            raise failed
        finally:
            failed = None  # for its traceback has this frame


def is_of_another(error: BaseException) -> bool:
    """Whether this is the cancellation of something that the task which runs has waited for, and not its own.

    Trio has no such thing.
    """
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError) or running_trio() is not None:
        return False
    return not asyncio.current_task().cancelling()


@contextlib.asynccontextmanager
async def shielded() -> AsyncIterator[None]:
    """A block that goes on though its task is cancelled already; whoever uses this sees to it that it ends.

    On asyncio a cancellation comes once; those of anyio come again and again, where that is in use.
    """
    trio = running_trio()
    owner = sys.modules.get("anyio") if trio is None else trio
    if owner is None:
        yield
    else:
        with owner.CancelScope(shield=True):
            yield
