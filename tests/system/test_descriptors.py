"""Descriptors that have an owner."""

from __future__ import annotations

import os
import sys

import pytest

from isoclient.system import descriptors
from isoclient.system.descriptors import Belongings


@pytest.mark.parametrize("name", ["contextlib", "is_still"])
def test_an_owner_that_outlives_its_module_says_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    belongings = Belongings()
    made = belongings.make_all(os.pipe)
    with monkeypatch.context() as ending:
        ending.setattr(descriptors, name, None)  # as the interpreter does with all globals when it ends
        del belongings
    for descriptor in made:
        os.close(descriptor)  # as the system does then
    assert said == []
