"""A test that hangs is named, with where it hangs, and the others are run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.time_limit import TimeLimit

def pytest_configure(config):
    limit = TimeLimit(0.5, grace={grace})
    config.pluginmanager.register(limit)
    config.add_cleanup(limit.close)
"""
HANGS = """
import threading

def wait_for_nobody():
    threading.Event().wait(60)

def test_that_hangs():
    other = threading.Thread(target=wait_for_nobody, name="the other", daemon=True)
    other.start()
    {how}

def test_behind_it():
    pass
"""

STUBBORN = """
    while True:
        try:
            wait_for_nobody()
        except BaseException:
            pass
"""


def run(path: Path, how: str, grace: float, *options: str) -> subprocess.CompletedProcess[str]:
    (path / "conftest.py").write_text(CONFTEST.format(root=str(ROOT), grace=grace))
    (path / "test_hanging.py").write_text(HANGS.format(how=how))
    (path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-pno:asyncio", "-pno:randomly", *options]
    return subprocess.run(command, cwd=path, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("options", [(), ("-n1",)])
@pytest.mark.parametrize("how", ["wait_for_nobody()", "threading.Lock().__enter__(); other.join()"])
def test_it_is_interrupted(tmp_path: Path, how: str, options: tuple[str, ...]) -> None:
    done = run(tmp_path, how, 30, *options)
    assert "1 failed, 1 passed" in done.stdout
    assert "Failed: test_hanging.py::test_that_hangs has not ended within 0.5 s" in done.stdout
    assert "the other:" in done.stdout
    assert "in wait_for_nobody" in done.stdout


@pytest.mark.parametrize("options", [(), ("-n1",)])
def test_one_that_goes_on_is_ended(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, STUBBORN, 0.5, *options)
    assert "test_hanging.py::test_that_hangs has not ended within 0.5 s, nor since it was interrupted" in done.stderr
    assert "in wait_for_nobody" in done.stderr
    if options:
        assert "crashed while running 'test_hanging.py::test_that_hangs'" in done.stdout
        assert "1 failed, 1 passed" in done.stdout
    else:
        assert done.returncode == 70
