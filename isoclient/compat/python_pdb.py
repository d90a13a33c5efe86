"""Python's pdb: where each of its stops passes."""

from __future__ import annotations

from typing import Final

from isoclient.compat.self_tests import self_test

__all__ = ["PROMPT", "can_be_patched"]

PROMPT: Final = "interaction"
"""The method of Pdb that opens its prompt, and goes on when that is closed; what it says goes through ``message``."""


@self_test("The prompt of pdb in the app's process", project="Python")
def can_be_patched() -> None:
    import bdb
    import pdb

    assert PROMPT in vars(pdb.Pdb)
    assert "message" in vars(pdb.Pdb)
    assert "skip" in bdb.Bdb.__init__.__code__.co_names
