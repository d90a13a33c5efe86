"""Clients of the mode that the environment names, and a report of all that pytest has to say, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shop import app  # type: ignore[import-not-found]  # it is beside this file

from isoclient import TestClient

MODE = os.environ["SHOP_MODE"]
OPTIONS: dict[str, Any] = {} if MODE == "thread" else {"isolated": True, "start_method": MODE}

reports: list[Any] = []
warned: list[Any] = []


@pytest.fixture(scope="session")
def old_client() -> Iterator[TestClient]:
    """One that has been running since an earlier test."""
    with TestClient(app, timeout=30, **OPTIONS) as client:
        yield client


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app, timeout=30, **OPTIONS) as client:
        yield client


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when is not None:
        reports.append([report.nodeid, report.when, report.outcome, report.sections])


def pytest_warning_recorded(warning_message: Any, when: str, nodeid: str) -> None:
    place = Path(warning_message.filename).name, warning_message.lineno
    warned.append([nodeid, when, warning_message.category.__name__, str(warning_message.message), *place])


def pytest_sessionfinish() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        Path("report.json").write_text(json.dumps({"reports": reports, "warnings": warned}, indent=1))
