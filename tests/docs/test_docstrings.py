"""Every example in a docstring runs, since the API reference shows them."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import isoclient

MODULES = ["isoclient", *(module.name for module in pkgutil.walk_packages(isoclient.__path__, "isoclient."))]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert not failed
