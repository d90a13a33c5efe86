"""Every example in a docstring runs, since the API reference shows them."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import isoclient
from isoclient.server.hooks import hooks

MODULES = ["isoclient", *(module.name for module in pkgutil.walk_packages(isoclient.__path__, "isoclient."))]


@pytest.fixture(autouse=True)
def hooks_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers is not for the apps of other tests."""
    monkeypatch.setattr(hooks, "start", list(hooks.start))
    monkeypatch.setattr(hooks, "end", list(hooks.end))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        getattr(module, public)  # what isoclient imports when it is asked for says that it is defined there
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert not failed
