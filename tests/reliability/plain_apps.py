"""Apps that the scripts and the tests of this directory run, where a fresh interpreter can import them."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

LONG: Final = 40  # seconds that something "for ever" lasts, so that nothing of ours could stay for longer


async def answer(send: Send, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


async def live(receive: Receive, send: Send) -> None:
    """A lifespan without anything to it."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def hold_the_gil() -> None:
    """Wait for a mutex in C that is held already. Unlike a sleep, no signal ends that."""
    held = ctypes.create_string_buffer(64)
    until = ctypes.create_string_buffer(struct.pack("qq", int(time.time()) + LONG, 0))
    library = ctypes.PyDLL(None)
    library.pthread_mutex_lock(held)
    library.pthread_mutex_timedlock(held, until)


_kept: list[object] = []  # subprocess warns of a command that is still running when nobody refers to it any more


def start_processes() -> list[int]:
    """What an app may start: a command, a child of multiprocessing, and a grandchild whose parent has gone."""
    command = subprocess.Popen(["sleep", str(LONG)])
    _kept.append(command)
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LONG,), daemon=True)
    child.start()
    assert child.pid is not None
    return [command.pid, child.pid, _fork_twice()]


def _fork_twice() -> int:
    reading, writing = os.pipe()
    if os.fork() == 0:
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            time.sleep(LONG)
        else:
            os.write(writing, b"%d" % pid)
        os._exit(0)
    os.close(writing)
    try:
        pid = int(os.read(reading, 20))
    finally:
        os.close(reading)
    os.wait()
    return pid


def ignore_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        if number < 32:
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())


async def clinging(scope: Scope, receive: Receive, send: Send) -> None:
    """It starts processes, and can be made not to listen to anything."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["pids"] = start_processes()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/gil":
        hold_the_gil()
    elif scope["path"] == "/deaf":
        ignore_signals()
        time.sleep(LONG)
    elif scope["path"] == "/closed":
        os.closerange(0, 1 << 16)
        time.sleep(LONG)
    await answer(send, repr(scope["state"]["pids"]).encode())


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """It answers a request, and echoes what comes on a WebSocket."""
    if scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})
    elif scope["path"] == "/wait":
        await asyncio.sleep(LONG)
    else:
        await answer(send, b"alive")
