"""Runs of pytest, in a terminal and without one."""

from __future__ import annotations

from functools import partial

import pytest

from tests.debugging.session import RunPytest, Session, StartPytest
from tests.debugging.session import run_pytest as run
from tests.prepared import Prepared


@pytest.fixture
def start_pytest(prepared: Prepared) -> StartPytest:
    """Begins a run in a terminal of its own: ``with start_pytest(*options, cwd=directory) as session``."""
    return partial(Session.of_pytest, prepared)


@pytest.fixture
def run_pytest(prepared: Prepared) -> RunPytest:
    """Runs it without a terminal: ``code, text = run_pytest(directory, *options)``."""
    return partial(run, prepared)
