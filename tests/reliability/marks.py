"""What a plain run leaves out: ``--cells=all`` runs it, and so does ``tox -e reliability``."""

from __future__ import annotations

from typing import Final

import pytest

from tests.reliability.death import METHODS

__all__ = ["each_method", "slow"]

slow: Final = pytest.mark.slow

each_method: Final = pytest.mark.parametrize(
    "method", [method if method == "fork" else pytest.param(method, marks=slow) for method in METHODS]
)
