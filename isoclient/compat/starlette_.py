"""Starlette: where the state of an app has what is put there."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final

from isoclient.compat.self_tests import self_test

__all__ = ["ITEMS", "items_of_state", "state_in"]

ITEMS: Final = "_state"
"""The attribute of a state that has what is in it."""

_MODULE = "starlette.datastructures"


@self_test("Carrying over changes of app.state, and telling how the app's own differs,", project="starlette")
def _is_known() -> None:
    module: Any = import_module(_MODULE)
    assert vars(module.State({"tea": 2}))[ITEMS] == {"tea": 2}


def state_in(own: dict[str, Any], cls: type) -> dict[str, Any]:
    """What is in a state of Starlette's, without asking it: it has no attributes for that.

    Args:
        own: its dictionary.
        cls: its class.
    """
    known = getattr(sys.modules.get(_MODULE), "State", None)
    if cls is not known or not _is_known():
        return own
    state = own.get(ITEMS)
    return state if type(state) is dict else own


def items_of_state(state: Any) -> dict[str, Any] | None:
    """The very dictionary of what is in a state of Starlette's; None if it is something else."""
    known = getattr(sys.modules.get(_MODULE), "State", None)
    return getattr(state, ITEMS, None) if known is not None and isinstance(state, known) and _is_known() else None
