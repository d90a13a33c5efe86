"""The event loop that the caller runs on, of the libraries that are there already."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["running_loop", "running_trio"]


def running_trio() -> Any:
    """The module trio, if the caller is one of its tasks; else None.

    It is asked first: as a guest, it runs on the loop of asyncio.
    """
    trio: Any = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):  # it is being imported; or the caller is none
        return None
    return trio


def running_loop() -> Any:
    """The loop of asyncio that the caller runs on.

    Raises:
        RuntimeError: there is none.
    """
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        raise RuntimeError("an app is awaited on an event loop of asyncio or trio, and there is none here")
    return asyncio.get_running_loop()
