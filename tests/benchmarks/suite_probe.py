"""A plugin of pytest for the runs of real suites, which have it by its name: bare forks, and what is counted.

It imports nothing of isoclient: it is there in runs without that, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

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
    if _probe != "requests":
        return
    for name in ("httpx", "httpx2"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        for client in (module.Client, module.AsyncClient):
            client.send = _counted(client.send)


def _counted(send: Any) -> Any:
    def counting(*args: Any, **kwargs: Any) -> Any:
        count()
        return send(*args, **kwargs)

    return counting
