"""What a process would import after the fork that began it, imported before: once, and not in each of them.

Not an event loop that the test's process need not have: trio and uvloop are for the app's process alone.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Final

from isoclient.compat import anyio_

__all__ = ["import_ahead"]

_SERVER: Final = "isoclient.server.asyncio_runtime"


def import_ahead() -> None:
    """Import what a server on asyncio, and anyio if it is there, are going to need. Never raises."""
    for name in [_SERVER, anyio_.ON_ASYNCIO] if "anyio" in sys.modules else [_SERVER]:
        if name not in sys.modules:
            with contextlib.suppress(Exception, SystemExit):  # the process will see for itself, and tell
                importlib.import_module(name)
