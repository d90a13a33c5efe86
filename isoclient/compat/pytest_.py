"""pytest: its own ``set_trace``."""

from __future__ import annotations

import sys
from typing import Any

from isoclient.compat.self_tests import self_test

__all__ = ["forget_pytest"]


@self_test("pytest.set_trace() in an app that is a fork of a test run", project="pytest")
def _knows_set_trace() -> None:
    assert {"_pluginmanager", "_config"} <= vars(sys.modules["_pytest.debugging"].pytestPDB).keys()


def forget_pytest() -> None:
    """In a fork of it, its ``set_trace`` would suspend what it captures: what the test's process has captured."""
    if "_pytest.debugging" in sys.modules and _knows_set_trace():
        pdb: Any = sys.modules["_pytest.debugging"].pytestPDB
        pdb._pluginmanager = pdb._config = None
