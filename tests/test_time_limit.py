"""A test that hangs is named, with where it hangs, and the others are run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.prepared import Done, Prepared

ROOT = Path(__file__).parents[1]
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.time_limit import TimeLimit

def pytest_configure(config):
    limit = TimeLimit(3600.0, slow=7200.0, grace=60.0)
    config.pluginmanager.register(limit)
    config.add_cleanup(limit.close)
    config.addinivalue_line("markers", "slow: takes long")
"""
HANGS = """
import signal
import threading

import pytest

def wait_for_nobody(there):
    there.set()
    threading.Event().wait(60)

def hang():
    signal.raise_signal(signal.SIGALRM)  # the time is over

def test_that_hangs():
    there = threading.Event()
    threading.Thread(target=wait_for_nobody, args=(there,), name="the other", daemon=True).start()
    assert there.wait(60)
    {how}

def test_behind_it():
    left, grace = signal.getitimer(signal.ITIMER_REAL)
    assert 3000 < left <= 3600
    assert grace == 60

@pytest.mark.slow
def test_one_that_is_slow():
    assert 7000 < signal.getitimer(signal.ITIMER_REAL)[0] <= 7200
"""
STUBBORN = """
    while True:
        try:
            hang()
        except BaseException:
            pass
"""


def run(prepared: Prepared, path: Path, how: str, *options: str) -> Done:
    (path / "conftest.py").write_text(CONFTEST.format(root=str(ROOT)))
    (path / "test_hanging.py").write_text(HANGS.format(how=how))
    (path / "pytest.ini").write_text("[pytest]\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return prepared.run(options, cwd=path, env=env | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, timeout=300)


@pytest.mark.parametrize("options", [(), ("-pxdist", "-n1")])
def test_it_is_interrupted(prepared: Prepared, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(prepared, tmp_path, "hang()", *options)
    assert "1 failed, 2 passed" in done.out, done.err
    assert "Failed: test_hanging.py::test_that_hangs has not ended within 3600 s" in done.out
    assert "in test_that_hangs" in done.out
    assert "the other:" in done.out
    assert "in wait_for_nobody" in done.out


@pytest.mark.parametrize("options", [(), ("-pxdist", "-n1")])
def test_one_that_goes_on_is_ended(prepared: Prepared, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(prepared, tmp_path, STUBBORN, *options)
    assert "test_hanging.py::test_that_hangs has not ended within 3600 s, nor since it was interrupted" in done.err
    assert "in wait_for_nobody" in done.err
    if options:
        assert "crashed while running 'test_hanging.py::test_that_hangs'" in done.out
        assert "1 failed, 2 passed" in done.out
    else:
        assert done.code == 70
