"""A suite of realistic size, written for a client in the test's process, passes with its apps isolated as well.

With more seeds, in one process, and with an app for every test: ``tox -e shop``.
"""

import re
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.shop_runs.conftest import Run

RUNS: Final = {
    "xdist": ["-pxdist", "-n2", "-prandomly", "--randomly-seed=1"],
    "isolated-xdist": ["--isolated", "-pxdist", "-n2", "-prandomly", "--randomly-seed=3"],
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_the_suite_passes(run_shop: "Run", options: list[str]) -> None:
    passed, failed, report = run_shop(*options)
    assert not failed, report
    assert len(passed) > 100
    assert re.search(r"^=+ \d+ passed in ", report.splitlines()[-1]), report  # and there is no word of a warning
