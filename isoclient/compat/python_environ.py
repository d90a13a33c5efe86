"""Python's ``os.environ``: the dict that it keeps the variables in."""

from __future__ import annotations

from typing import Any

from isoclient.compat.self_tests import self_test
from isoclient.system.modules import os

__all__ = ["variables"]


@self_test("Carrying over changes of os.environ to an app that runs", project="Python")
def _knows_variables() -> None:
    names: Any = os.environ
    assert type(names._data) is dict
    assert {names.decodekey(key) for key in names._data} == set(names)


def variables() -> dict[Any, Any]:
    """The variables as they are kept, to be compared and no more. A test may have put a plain dict in their place."""
    names: Any = os.environ
    found: dict[Any, Any] = getattr(names, "_data", names)
    return found if found is names or _knows_variables() else {}
