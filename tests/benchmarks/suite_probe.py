"""A plugin of pytest for the runs of real suites, which have it by its name: bare forks, and what is counted.

It imports nothing of isoclient: it is there in runs without that, too.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest

_TRANSPORTS = (
    ("starlette.testclient", "_TestClientTransport", "handle_request"),
    ("httpx", "ASGITransport", "handle_async_request"),
    ("httpx2", "ASGITransport", "handle_async_request"),
)
_probe = os.environ.get("PROBE", "")


def count() -> None:
    """Count one more, in whatever process this is."""
    with open(os.environ["PROBE_FILE"], "ab") as file:
        file.write(b".")


@pytest.fixture(autouse=not _probe)
def bare_fork() -> Iterator[None]:
    """A fork that ends at once, for each test: what no isolation by a process can cost less than."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    yield
    os.waitpid(pid, 0)


def pytest_sessionstart() -> None:
    """Count what reaches an app: each step of a redirect, and each WebSocket, is one."""
    if _probe != "requests":
        return
    for module, transport, method in _TRANSPORTS:
        with warnings.catch_warnings(action="ignore"), suppress(ImportError):
            kind = getattr(import_module(module), transport)
            setattr(kind, method, _counted(getattr(kind, method)))


def _counted(handle: Any) -> Any:
    def counting(*args: Any) -> Any:
        count()
        return handle(*args)

    return counting
