"""The figures that the pages name are those of the last run of the benchmarks, ``docs/performance.json``."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.benchmarks import overview
from tests.docs.pages import ROOT

DOCS = ROOT / "docs"
DATA = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", overview.files(DATA))
def test_what_is_made_of_them_is_up_to_date(name: str) -> None:
    made = overview.files(DATA)[name]
    assert (DOCS / name).read_text(encoding="utf-8") == made, "python -m tests.benchmarks.overview docs"


@pytest.mark.parametrize(
    ("said", "row", "least", "most"),
    [
        ("a seventh of what Starlette's", "isolated GET / Starlette", 1 / 7.5, 1 / 6.5),
        ("a third of what uvicorn in a subprocess takes", "isolated GET / uvicorn", 1 / 3.5, 1 / 2.5),
    ],
)
def test_the_readme_says_what_was_measured(said: str, row: str, least: float, most: float) -> None:
    assert said in README
    [value] = [found["value"] for found in DATA["rows"] if found["what"] == row]
    assert least < value < most


def test_the_readme_says_how_long_a_fresh_app_takes() -> None:
    [said] = re.findall(r"started, asked and ended in (\d+) ms", README)
    assert f"**in {said} ms**" in overview.files(DATA)["performance-claims.md"]


def test_the_suite_has_so_many_tests() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=ROOT / "tests" / "shop", capture_output=True, text=True, timeout=120)
    assert f"\n{overview.TESTS} tests collected" in found.stdout
