"""``@pytest.mark.isolated(...)``: what a test of an isolated run says of the apps that it uses."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from isoclient.client import defaults
from isoclient.plugin.units import MODES, is_together
from isoclient.system.modules import os

__all__ = ["Marks"]


class Marks:
    """The hooks by which what a mark says is the default while its test runs.

    Args:
        of_run: the default of the run. What a fixture of a wider scope makes outlives the test, and so has that.
        of_paths: how the tests below these paths are isolated that have no mark.
    """

    def __init__(self, of_run: object, of_paths: Mapping[os.PathLike[str], object]) -> None:
        self._of_run = of_run
        self._of_paths = of_paths
        self._is_in_unit = False

    def begin_unit(self) -> None:
        """In the process of tests that run together with their apps: there no app is isolated."""
        self._is_in_unit = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See pytest: mark what a setting names, and tell of nonsense before anything runs."""
        for item in items:
            nearest = next((path for path in (item.path, *item.path.parents) if path in self._of_paths), None)
            if nearest is not None and item.get_closest_marker("isolated") is None:
                item.add_marker(pytest.mark.isolated(self._of_paths[nearest]))
            self.said_by(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """See pytest: a test begins."""
        with _default(self._of_clients(self.said_by(item))):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """See pytest. A fixture of any scope is set up within a test, the first that asks for it."""
        with _default(defaults.isolated.value if fixturedef.scope == "function" else self._of_clients(self._of_run)):
            return (yield)

    def _of_clients(self, mode: object) -> object:
        return False if self._is_in_unit or is_together(mode) else mode

    def said_by(self, item: pytest.Item) -> object:
        """How a test is isolated.

        Raises:
            pytest.UsageError: its mark says what is not known.
        """
        mark = item.get_closest_marker("isolated")
        if mark is None or not (mark.args or mark.kwargs):
            return self._of_run
        known = (True, False, *defaults.LIFETIMES, *MODES)
        if mark.kwargs or len(mark.args) > 1 or mark.args[0] not in known:
            said = ", ".join([*map(repr, mark.args), *(f"{key}={value!r}" for key, value in mark.kwargs.items())])
            *most, last = map(repr, known)
            raise pytest.UsageError(
                f"{item.nodeid} is marked as isolated({said}); the mark takes {', '.join(most)} or {last}"
            )
        return mark.args[0]


@contextmanager
def _default(mode: object) -> Iterator[None]:
    before, defaults.isolated.value = defaults.isolated.value, mode
    try:
        yield
    finally:
        defaults.isolated.value = before
