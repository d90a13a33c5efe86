"""The suites of both shops in many orders. Not part of a plain run: ``tox -e shop``."""

from itertools import product
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.shop_runs.conftest import Run

SEEDS: Final = range(10, 20)
MODES: Final = {
    "in-process": [],
    "isolated": ["--isolated"],
    "isolated-fresh": ["--isolated", "--fresh"],
    "isolated-xdist": ["--isolated", "-pxdist", "-n2", "--dist=worksteal"],
}


@pytest.mark.parametrize(("mode", "seed"), product(MODES, SEEDS))
def test_the_shop_in_any_order(run_shop: "Run", mode: str, seed: int) -> None:
    passed, failed, report = run_shop(*MODES[mode], "-prandomly", f"--randomly-seed={seed}")
    assert not failed, report
    assert len(passed) > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_the_leaky_shop_in_any_order(run_leaky_shop: "Run", seed: int) -> None:
    order = ["-prandomly", f"--randomly-seed={seed}"]
    assert run_leaky_shop(*order).failed
    assert not run_leaky_shop(*order, "--isolated").failed
