"""The fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from isoclient.client.client import TestClient

__all__ = ["isolated_client"]


@pytest.fixture
def isolated_client() -> Iterator[Callable[..., TestClient]]:
    """A function that makes clients: ``isolated_client(app, **options)``, with the app in a process of its own.

    It takes what isoclient.TestClient takes. What it has made is closed at the end of the test.
    """
    from isoclient.client.client import TestClient

    with ExitStack() as stack:

        def make(app: Any, *args: Any, isolated: Any = True, **options: Any) -> TestClient:
            client = TestClient(app, *args, isolated=isolated, **options)
            stack.callback(client.close)
            return client

        yield make
