"""Where objects are found by name, while modules come and go."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from itertools import count
from types import ModuleType

import pytest

from isoclient.transit.paths import find_paths
from isoclient.transit.places import find_places

wanted = object()


@pytest.fixture
def _modules_come_by_the_garbage_collector() -> Iterator[None]:
    """As finalizers import some, whatever runs just then."""
    numbers, threshold = count(), gc.get_threshold()

    def come(phase: str, info: dict[str, int]) -> None:
        name = f"{__name__}_{next(numbers)}"
        sys.modules[name] = ModuleType(name)

    gc.callbacks.append(come)
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(come)
        for number in range(next(numbers)):
            del sys.modules[f"{__name__}_{number}"]


@pytest.mark.usefixtures("_modules_come_by_the_garbage_collector")
def test_modules_that_come_amid_the_search() -> None:
    assert str(find_places({id(wanted)})[id(wanted)]) == f"{__name__}:wanted"
    assert str(find_paths({id(wanted)}, None)[id(wanted)]) == f"{__name__}.wanted"
