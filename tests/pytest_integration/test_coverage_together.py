"""What tests run is in the report, whatever process they run in, and whichever test has run it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.pytest_integration.runs import Run

FARM = """
    import threading

    def sow(seeds):
        if seeds > 1:
            return seeds
        return 0

    def reap():
        thread = threading.Thread(target=store)
        thread.start()
        thread.join()

    def store():
        return [sow(seeds) for seeds in range(3)]

    def rot():
        return "rotten"

    async def app(scope, receive, send):
        text = b"empty" if sow(4) == 0 else b"full"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": text})
"""
FIELD = """
    import pytest
    import farm
    from isoclient import TestClient

    @pytest.fixture(scope="module", autouse=True)
    def season():
        yield
        farm.rot()

    def test_sow():
        assert farm.sow(0) == 0

    def test_fails():
        farm.reap()
        assert not farm.store()
"""
MARKET = """
    import farm
    from isoclient import TestClient

    def test_here():
        assert TestClient(farm.app).get("/").text == "full"

    def test_elsewhere():
        with TestClient(farm.app, isolated=True) as client:
            assert client.get("/").text == "full"
"""


def measured(file: Path) -> list[Any]:
    """All that is in a database of coverage.py."""
    with closing(sqlite3.connect(file)) as data:
        query = "select path, context, fromno, tono from arc join file on file_id = file.id "
        return sorted(data.execute(query + "join context on context_id = context.id"))


@pytest.mark.parametrize(
    "options",
    [
        ("-ppytest_cov", "--cov=farm", "--cov-branch", "--cov-context=test"),
        # test_coverage.py has workers, too
        pytest.param(("-pxdist", "-ppytest_cov", "--cov=farm", "--cov-branch", "-n2"), marks=pytest.mark.rest),
    ],
    ids=" ".join,
)
def test_it_is_the_same(run: Run, write: Callable[..., None], tmp_path: Path, options: tuple[str, ...]) -> None:
    write(farm=FARM, test_field=FIELD, test_market=MARKET)
    found = []
    for mode in ((), ("--isolated=together",)):
        outcome = run("-pisoclient", *options, *mode)
        assert "1 failed, 3 passed" in outcome.text, outcome.text
        found.append(measured(tmp_path / ".coverage"))
        assert not list(tmp_path.glob(".coverage.*"))
        (tmp_path / ".coverage").unlink()
    assert found[0] == found[1]
    assert len(found[0]) > 20


def test_patches_of_the_user(run: Run, write: Callable[..., None], tmp_path: Path) -> None:
    write(farm=FARM, test_field=FIELD, test_market=MARKET)
    (tmp_path / ".coveragerc").write_text("[run]\nbranch = true\npatch = _exit, fork\nsource = .\n")
    outcome = run("-pisoclient", "-ppytest_cov", "--cov=farm", "--cov-context=test", "--isolated=together")
    assert "1 failed, 3 passed" in outcome.text, outcome.text
    assert measured(tmp_path / ".coverage")
    assert not list(tmp_path.glob(".coverage.*"))
