"""The test's end of the pipe, for tasks of any event loop: what threads that block do, without blocking.

There is no task behind it either. A task that waits for something watches the connection on its own event loop, and
reads when there is something to read. Where several tasks of one loop wait, one of them leads. Tasks of other loops,
and threads, are not waited for: whoever reads hands everybody their frames, and wakes those who have what they wait
for.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from isoclient.drive.connection import Connection
from isoclient.drive.sleepers import TaskSleep, sleep_here
from isoclient.drive.waiting import Deadline

__all__ = ["begun", "flushed", "look_ahead", "wait"]


async def wait(connection: Connection, ready: Callable[[], object], deadline: Deadline) -> None:
    """Wait until ``ready()`` is true.

    Raises:
        ConnectionLost, NotReady, DeadlineExceeded: as :func:`isoclient.drive.blocking.wait` does.
    """
    loop: Any = None
    token = object()
    if not ready():
        look_ahead(connection)
    try:
        # Nobody goes on while somebody types at the prompt of a debugger, though what is waited for has come.
        while not ready() or connection.has_prompt:
            connection.check()
            sleep = sleep_here()
            loop = sleep.loop
            leads = connection.readiness.leaders.setdefault(loop, token) is token
            await _sleep(connection, sleep, ready, deadline, leads=leads)
    except BaseException:
        if loop is not None and connection.readiness.leaders.get(loop) is token:  # else a prompt is not for us to end
            connection.take_terminal_back()
        raise
    finally:
        if loop is not None:
            _hand_on(connection, loop, token)


async def _sleep(
    connection: Connection, sleep: TaskSleep, ready: Callable[[], object], deadline: Deadline, *, leads: bool
) -> None:
    readiness, outbox = connection.readiness, connection.mux.outbox
    watcher = object()
    connection.waiters.tasks[id(sleep)] = weakref.ref(sleep), ready, deadline
    try:
        if leads:
            connection.closing.watchers.add(watcher)
        # Only now, for who has read meanwhile did not see our entry; and who closes, not that we watch.
        connection.check()
        if ready() and not connection.has_prompt:
            return
        if outbox.parts:
            readiness.ask_to_write(True)
        if leads:
            is_woken = await sleep.sleep(readiness.descriptor, deadline.moment(connection.pace) / 1000)
        else:  # whoever leads looks at the clock for all
            is_woken = await sleep.sleep(-1, deadline.moment() / 1000 if deadline.needs_a_clock() else None)
    finally:
        del connection.waiters.tasks[id(sleep)]
        if leads:
            connection.end_watch(watcher)
    if leads or outbox.parts:
        connection.look(idle=not is_woken)
        readiness.ask_to_write(bool(outbox.parts))
    if not is_woken:
        deadline.check()


def _hand_on(connection: Connection, loop: object, token: object) -> None:
    """Whoever leaves may have led, or may have been woken to lead: then another task of the same loop does."""
    leaders = connection.readiness.leaders
    if leaders.get(loop) is token:
        del leaders[loop]
    if loop not in leaders:
        for task, _, _ in list(connection.waiters.tasks.values()):
            if (sleep := task()) is not None and sleep.loop is loop:
                sleep.wake()
                return


def look_ahead(connection: Connection) -> None:
    """Look for an answer that is likely to come within a moment: the app itself, were it here, would have the loop.

    Where others wait, too, they are not to be held up.
    """
    if connection.incoming.is_expected and len(connection.waiters.tasks) < 2:
        connection.look(eagerly=True)


async def begun(connection: Connection, deadline: Deadline) -> None:
    """The same for what begins a call, which is waited for next: of many that begin at once, some go out together.

    A write that wakes the app takes longer than to begin a call. So while several tasks wait, who has nothing to say
    but that leaves it to the task that leads, unless nothing has been written for a while: the app is to begin.

    Raises:
        ConnectionLost, NotReady, DeadlineExceeded: as :func:`wait` does.
    """
    if len(connection.waiters.tasks) > 1 and not connection.incoming.is_due():
        return
    await flushed(connection, deadline)


async def flushed(connection: Connection, deadline: Deadline) -> None:
    """Write what is in the outbox, and wait until it is written.

    Raises:
        ConnectionLost, NotReady, DeadlineExceeded: as :func:`wait` does.
    """
    connection.incoming.asked()
    outbox = connection.mux.outbox
    if outbox.parts and not connection.try_flush() and outbox.parts:
        await wait(connection, lambda: not outbox.parts, deadline)
