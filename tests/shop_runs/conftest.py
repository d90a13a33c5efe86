"""What runs the suites of the shops: each is a project of its own, and each run of it a pytest of its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

import pytest

from tests.prepared import Prepared

collect_ignore = ["leaky"]

_HERE: Final = Path(__file__).parent
_TIME: Final = 120  # seconds
# Plugins that happen to be installed take longer to load than these suites take to run: a run has those that it names.
_LIGHT: Final = ["-pno:cacheprovider", "-pisoclient"]
_OURS: Final = ("PYTEST_", "BOOKSHOP_", "SHOP_")


class Outcome(NamedTuple):
    """How a run went: the names of the tests that passed, those of the others, and what the run printed."""

    passed: set[str]
    failed: set[str]
    report: str


Run = Callable[..., Outcome]


@pytest.fixture
def run_shop(prepared: Prepared, tmp_path: Path) -> Run:
    """Runs the suite of the shop with the given options of pytest."""
    return _runner(prepared, _HERE.parent / "shop", tmp_path)


@pytest.fixture
def run_leaky_shop(prepared: Prepared, tmp_path: Path) -> Run:
    """Runs the suite of the leaky shop with the given options of pytest."""
    return _runner(prepared, _HERE / "leaky", tmp_path)


def _runner(prepared: Prepared, project: Path, directory: Path) -> Run:
    def run(*options: str) -> Outcome:
        results = directory / "results.xml"
        arguments = [*_LIGHT, f"--junitxml={results}", *options]
        done = prepared.run(arguments, cwd=project, env=_environment(), timeout=_TIME)
        report = done.out + done.err
        assert done.code in (0, 1), report  # all passed, or some failed; not that the run itself went wrong
        return _outcome(results, report)

    return run


def _environment() -> dict[str, str]:
    """Without what says that this is a test within a run already."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _outcome(results: Path, report: str) -> Outcome:
    cases = list(ElementTree.parse(results).iter("testcase"))
    bad = {_name(case) for case in cases if len(case)}
    return Outcome({_name(case) for case in cases} - bad, bad, report)


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"
