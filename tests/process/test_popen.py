"""A process of an app as the test's process has it."""

from __future__ import annotations

import pytest

from isoclient.process import popen
from isoclient.process.popen import await_death


def test_one_that_the_kernel_does_not_let_die_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popen, "_DYING", 0.0)
    looks: list[None] = []
    await_death(lambda: looks.append(None))
    assert looks == [None]


def test_one_that_is_dead_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popen, "_MOMENT", "not a time to sleep")
    await_death(lambda: True)
