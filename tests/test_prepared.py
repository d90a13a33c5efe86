"""Runs of pytest by forks of an interpreter that is prepared: each is as one by an interpreter of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.prepared import Done, Prepared

ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": os.environ["PATH"]}


def run(prepared: Prepared, place: Path, source: str, *options: str, timeout: float = 60, **more: str) -> Done:
    (place / "test_it.py").write_text(f"import atexit, os, signal, sys, time\ndef test_it():\n    {source}\n")
    options = ("-q", "-s", "-pno:cacheprovider", *options)
    return prepared.run(options, cwd=place, env=ENVIRONMENT | more, timeout=timeout)


def test_it_is_where_it_is_told_to_be(prepared: Prepared, tmp_path: Path) -> None:
    told = f"print(os.getcwd(), sys.path[:2], sorted(os.environ), sys.argv[1:], {'isoclient'!r} in sys.modules)"
    done = run(prepared, tmp_path, told, PYTHONPATH="/of/the/run")
    names = sorted([*ENVIRONMENT, "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTHONPATH"])
    options = ["-q", "-s", "-pno:cacheprovider"]
    assert done.out.startswith(f"{tmp_path} ['{tmp_path}', '/of/the/run'] {names} {options} False\n"), done
    assert (done.code, done.err) == (0, "")


def test_it_leaves_nothing_to_the_next_one(prepared: Prepared, tmp_path: Path) -> None:
    for _ in range(2):
        assert run(prepared, tmp_path, "assert not hasattr(sys, 'left'); sys.left = 1; os.chdir('/')").code == 0


@pytest.mark.parametrize(
    ("end", "code"),
    [("assert 0", 1), ("os._exit(9)", 9), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM)],
)
def test_how_it_ends(prepared: Prepared, tmp_path: Path, end: str, code: int) -> None:
    assert run(prepared, tmp_path, end).code == code


def test_exit_handlers_run_and_streams_are_two(prepared: Prepared, tmp_path: Path) -> None:
    done = run(prepared, tmp_path, "atexit.register(print, 'at the end'); print('told', file=sys.stderr)")
    assert done.out.endswith("\nat the end\n")
    assert done.err == "told\n"


def test_threads_are_waited_for(prepared: Prepared, tmp_path: Path) -> None:
    waits = "lambda: (threading.main_thread().join(), print('at last'))"
    done = run(prepared, tmp_path, f"import threading; threading.Thread(target={waits}).start()")
    assert (done.code, done.out.splitlines()[-1]) == (0, "at last")


def test_one_that_takes_too_long_is_ended(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        run(prepared, tmp_path, "time.sleep(600)", timeout=0.1)
    assert run(prepared, tmp_path, "pass").code == 0
