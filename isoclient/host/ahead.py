"""What a process would import after the fork that began it, imported before: once, and not in each of them."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["import_ahead"]

_HOSTS: Final = {"asyncio": "isoclient.host.aio", "trio": "isoclient.host.trio_"}
# anyio, and with it Starlette and FastAPI, import this at the first call that has to do with a thread or a lock.
_AT_FIRST_USE: Final = {("asyncio", "anyio"): "anyio._backends._asyncio", ("trio", "anyio"): "anyio._backends._trio"}


def import_ahead(backend: str, options: Mapping[str, Any]) -> None:
    """Import what a host on this backend, and what is loaded already, is going to need. Never raises.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        options: what the backend is given.
    """
    for name in _needed(backend, options):
        if name not in sys.modules:
            with contextlib.suppress(Exception, SystemExit):  # the process will see for itself, and tell
                importlib.import_module(name)


def _needed(backend: str, options: Mapping[str, Any]) -> Iterator[str]:
    yield _HOSTS[backend]
    if options.get("use_uvloop"):
        yield "uvloop"
    for (used_on, module), late in _AT_FIRST_USE.items():
        if used_on == backend and module in sys.modules:
            yield late
