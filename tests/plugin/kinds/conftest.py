"""What pytest has to say of a run, as JSON; and fixtures of each scope."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

reports: list[Any] = []
warned: list[Any] = []
called: list[str] = []


@pytest.fixture(scope="session")
def of_session() -> int:
    return os.getpid()


@pytest.fixture(scope="module", params=["red", "blue"])
def of_module(request: pytest.FixtureRequest, of_session: int) -> Iterator[str]:
    print(f"module: {request.param} up")
    yield request.param
    print(f"module: {request.param} down")


@pytest.fixture
def of_test(of_session: int) -> Iterator[str]:
    print("test: up")
    yield "here"
    print("test: down")


def pytest_runtest_logstart(nodeid: str) -> None:
    called.append(nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    called.append(nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    properties = [[name, str(value)] for name, value in report.user_properties]
    told = [report.nodeid, report.when, report.outcome, report.longreprtext, report.sections, properties]
    reports.append([*told, sorted(report.keywords), list(report.location), getattr(report, "wasxfail", None)])
    assert 0 <= report.duration <= report.stop - report.start + 0.1


def pytest_warning_recorded(warning_message: Any, when: str, nodeid: str, location: Any) -> None:
    place = Path(warning_message.filename).name, warning_message.lineno
    source = warning_message.source is not None
    warned.append([nodeid, when, warning_message.category.__name__, str(warning_message.message), *place, source])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        found = {"reports": reports, "warnings": warned, "called": called, "failed": session.testsfailed}
        Path("told.json").write_text(json.dumps(found | {"exitstatus": exitstatus}, indent=1))
