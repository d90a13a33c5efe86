"""A suite of realistic size, written for a client in the test's process, passes with its apps isolated as well.

With more seeds, in one process, and with an app for every test: ``tox -e shop``. A plain run has one of these.
"""

import re
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.shop_runs.conftest import Run

RUNS: Final = {
    "isolated": ["--isolated", "-prandomly", "--randomly-seed=3"],
    "xdist": ["-pxdist", "-n2", "-prandomly", "--randomly-seed=1"],
    # One test wants a copy of the app for each request, which Starlette's client can't say.
    "starlette-isolated": [
        "--client=starlette-isolated",
        "--deselect=test_auth.py::test_a_user_who_changes_while_the_shop_is_open",
    ],
    # httpx knows neither WebSockets nor templates.
    "httpx-isolated": [
        "--client=httpx-isolated",
        "--ignore=test_chat.py",
        "--deselect=test_auth.py::test_a_user_who_changes_while_the_shop_is_open",
        "--deselect=test_pages.py::test_an_empty_catalogue",
        "--deselect=test_pages.py::test_a_failed_login",
    ],
    "litestar": ["--client=litestar"],
    "async": ["--client=async", "--fresh"],
    "isolated-xdist": ["--isolated", "-pxdist", "-n2", "-prandomly", "--randomly-seed=3"],
}


@pytest.mark.parametrize(
    "options",
    [pytest.param(RUNS[name], id=name, marks=[] if name == "isolated" else pytest.mark.rest) for name in RUNS],
)
def test_the_suite_passes(run_shop: "Run", options: list[str]) -> None:
    passed, failed, report = run_shop(*options)
    assert not failed, report
    assert len(passed) > 90
    # And there is no word of a warning.
    assert re.search(r"^=+ \d+ passed(, \d deselected)? in ", report.splitlines()[-1]), report
