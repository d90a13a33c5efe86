"""What an app leaves behind in its process makes tests depend on their order, unless it has a process of its own.

Five runs of a whole suite, which a plain run leaves out: the shop beside it passes there, isolated.
"""

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.shop_runs.conftest import Run

pytestmark = pytest.mark.rest

# Between them, these orders show every leak there is.
SEEDS: Final = [2, 7]


def test_in_process_the_outcome_depends_on_the_order(run_leaky_shop: "Run") -> None:
    assert run_leaky_shop().failed == set()
    one, other = (run_leaky_shop("-prandomly", f"--randomly-seed={seed}").failed for seed in SEEDS)
    assert one - other
    assert other - one


@pytest.mark.parametrize("seed", SEEDS)
def test_isolated_it_does_not(run_leaky_shop: "Run", seed: int) -> None:
    passed, failed, report = run_leaky_shop("--isolated", "-prandomly", f"--randomly-seed={seed}")
    assert not failed, report
    assert len(passed) == 18
