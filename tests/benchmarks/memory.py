"""The memory of one more isolated client: what its process adds to all that there is, which is its PSS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.footprint import proportional
from tests.benchmarks.harness import Effort, Row

_CLIENTS: Final = 10


def measure(effort: Effort) -> Iterator[Row]:
    ours, bare = _added(_client), _added(_bare_fork)
    yield Row("memory of one more isolated client, FastAPI app (PSS)", ours, 8, unit=" MB")
    yield Row("the same of a bare fork that calls it once", bare, unit=" MB")


def _added(make: Callable[[], AbstractContextManager[int]]) -> float:
    """What one more of these takes, in megabytes."""
    with ExitStack() as stack:
        pids = [stack.enter_context(make())]
        before = _all(pids)
        pids += [stack.enter_context(make()) for _ in range(_CLIENTS)]
        return (_all(pids) - before) / _CLIENTS


@contextmanager
def _client() -> Iterator[int]:
    with TestClient(apps.shop, isolated=True) as client:
        client.get("/route/7")
        yield client.pid


@contextmanager
def _bare_fork() -> Iterator[int]:
    """With a request, too, for what the test's process writes to meanwhile is no longer shared either."""
    with peers.bare_fork() as pid:
        peers.session().get("http://testserver/route/7")
        yield pid


def _all(pids: list[int]) -> float:
    """The proportional set sizes of this process and of these, in megabytes: what they take together."""
    return proportional("self") + sum(proportional(pid) for pid in pids)
