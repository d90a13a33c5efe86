"""Fixtures that make a directory and run pytest there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.prepared import Prepared
from tests.pytest_integration.runs import SUITE, Outcome, Run, environment, run_python

collect_ignore = ["suite"]


@pytest.fixture
def run(tmp_path: Path, prepared: Prepared) -> Run:
    """Runs pytest in a directory of its own; returns its outcome."""

    def run(*options: str, mode: str = "thread", under: tuple[str, ...] = (), **more: str) -> Outcome:
        env = environment(SHOP_MODE=mode, **more)
        if under:
            return run_python(tmp_path, "-m", *under, "-m", "pytest", "-pno:cacheprovider", *options, env=env)
        done = prepared.run(["-pno:cacheprovider", *options], cwd=tmp_path, env=env, timeout=120, together=True)
        return Outcome(done.out, done.code, tmp_path)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Writes modules, by name."""

    def write(**modules: str) -> None:
        (tmp_path / "pytest.ini").touch()
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(dedent(text))

    return write


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The small suite, copied to where pytest runs."""
    (tmp_path / "pytest.ini").touch()
    shutil.copytree(SUITE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path
