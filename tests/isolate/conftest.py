from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from isoclient import IsolatedApp, isolate
from tests.conftest import Cell

MakeIsolated = Callable[..., IsolatedApp]


@pytest.fixture
def make_isolated(cell: Cell) -> Iterator[MakeIsolated]:
    """Isolates apps as this cell has it, and ends them after the test."""
    with ExitStack() as stack:

        def make(app: Any, **options: Any) -> IsolatedApp:
            given = {key: value for key, value in cell.options.items() if key != "isolated"}
            return stack.enter_context(isolate(app, **{**given, "timeout": 30.0, **options}))

        yield make
