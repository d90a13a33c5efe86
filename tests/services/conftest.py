"""The services, and the recipes of the page about copies, which are its code blocks to the letter."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from isoclient.server.hooks import hooks
from tests.docs.pages import ROOT, blocks_of
from tests.services import services

pytest_plugins = ["pytester"]

PAGE = ROOT / "docs" / "copies.md"


@pytest.fixture(scope="session")
def environment() -> Iterator[dict[str, str]]:
    """The services, which are there as long as the run. What names them is in the environment."""
    with ExitStack() as stack:
        yield {
            "DATABASE_URL": stack.enter_context(services.postgres()),
            "REDIS_URL": stack.enter_context(services.redis()),
            "SHOP_URL": stack.enter_context(services.shop()),
        }


@pytest.fixture
def recipes(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the recipes as modules."""
    for block in blocks_of(PAGE):
        if block.name.startswith("with_"):
            (tmp_path / block.name).write_text(block.source)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def recipe(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports one of them. What it registers is for this test."""
    monkeypatch.syspath_prepend(recipes)
    monkeypatch.setattr(hooks, "start", [])
    imported = []

    def find(name: str) -> ModuleType:
        imported.append(name)
        return importlib.import_module(name)

    yield find
    for name in imported:
        sys.modules.pop(name)
