"""Python's import system: which modules are being imported."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from isoclient.compat.self_tests import self_test
from isoclient.system.modules import threading

__all__ = ["import_anew_what_was_being_imported", "is_loaded", "knows_what_is_being_imported"]

_bootstrap: Any = getattr(importlib, "_bootstrap", None)


@self_test("The import, in an app that is a fork, of what another thread of the test's was importing", project="Python")
def knows_what_is_being_imported() -> None:
    assert type(_bootstrap._module_locks) is dict
    assert "owner" in vars(_bootstrap._ModuleLock(__name__))


def is_loaded(*names: str) -> bool:
    """Whether these modules have been imported, as a whole."""
    return all(name in sys.modules and not _is_being_imported(name) for name in names)


def _is_being_imported(name: str) -> bool:
    reference = _bootstrap._module_locks.get(name) if knows_what_is_being_imported() else None
    lock = reference() if reference is not None else None
    return lock is not None and lock.owner is not None


def import_anew_what_was_being_imported() -> None:
    """A module that another thread is importing will not become whole here: whoever needs it would wait for ever.

    One that this thread is importing, such as that of a test whose client is used at its top, stays as far as it is.
    """
    for name, reference in list(_bootstrap._module_locks.items()):
        lock = reference()
        if lock is not None and lock.owner is not None:
            _bootstrap._module_locks.pop(name, None)
            if lock.owner != threading.get_ident():
                sys.modules.pop(name, None)
