"""What a process would import after the fork that began it, imported before: once, and not in each of them.

Not an event loop that the test's process need not have: trio and uvloop are for the app's process alone.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Final

__all__ = ["import_ahead"]

_SERVER: Final = "isoclient.server.asyncio_runtime"
# Starlette and FastAPI have anyio import this at the first call that has to do with a thread or a lock.
_OF_ANYIO: Final = "anyio._backends._asyncio"


def import_ahead() -> None:
    """Import what a server on asyncio, and anyio if it is there, are going to need. Never raises."""
    for name in [_SERVER, _OF_ANYIO] if "anyio" in sys.modules else [_SERVER]:
        if name not in sys.modules:
            with contextlib.suppress(Exception, SystemExit):  # the process will see for itself, and tell
                importlib.import_module(name)
