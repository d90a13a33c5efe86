"""What is said of a project that has changed."""

from __future__ import annotations

import logging
import platform

import pytest

from isoclient.compat.self_tests import self_test


def test_a_check_that_passes_says_nothing_and_runs_once(caplog: pytest.LogCaptureFixture) -> None:
    calls = []
    works = self_test("This", project="pytest")(lambda: calls.append(1))
    assert (works(), works()) == (True, True)
    assert calls == [1]
    assert caplog.record_tuples == []


@pytest.mark.parametrize(
    ("project", "version"),
    [("pytest", pytest.__version__), ("Python", platform.python_version()), ("no-such-project", "unknown version")],
)
def test_what_is_off_is_told_once(project: str, version: str, caplog: pytest.LogCaptureFixture) -> None:
    def check() -> None:
        raise AttributeError("it has no attribute '_inner'")

    works = self_test("Looking inside", project=project)(check)
    assert (works(), works()) == (False, False)
    [(logger, level, text)] = caplog.record_tuples
    assert (logger, level) == ("isoclient", logging.WARNING)
    assert text.startswith(f"Looking inside is off: this version of {project} (")
    assert version in text
    assert text.endswith("AttributeError: it has no attribute '_inner'")
