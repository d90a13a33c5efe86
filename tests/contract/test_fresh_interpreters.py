"""Interpreters that are started for an app: whatever lies about in the directory, or is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient.process.launch import fork_server

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("spawn", "forkserver"), pytest.mark.backends("asyncio")]

ROOT = Path(__file__).parents[2]
DEPENDENCIES = ("dill", "isoclient", "multiprocess", "tblib")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"served"})


@pytest.fixture
def _fork_server_anew() -> None:
    """One that begins where the test is by then."""
    fork_server.end()


SCRIPT = """
import os, sys
from isoclient import TestClient
clients = [TestClient(app, isolated=True, start_method={method!r}, timeout=60) for app in ("shop:app", "shop:app")]
print(*(client.get("/").text for client in clients), clients[-1].pid, flush=True)
"""
SHOP = """
import logging, select, signal, types  # which an app may need, too
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"served"})
"""


def run(cell: Cell, place: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a script that uses an app beside it: that directory is on its path, and the current one is not."""
    place.mkdir(exist_ok=True)
    (place / "script.py").write_text(textwrap.dedent(SCRIPT).format(method=cell.mode) + options.pop("more", ""))
    (place / "shop.py").write_text(SHOP)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, str(place / "script.py")]
    return subprocess.run(command, **options, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_files_in_the_current_directory_that_have_the_names_of_modules(cell: Cell, tmp_path: Path) -> None:
    directory = tmp_path / "current"
    directory.mkdir()
    for name in (*sys.stdlib_module_names, *DEPENDENCIES):
        (directory / f"{name}.py").write_text(f"raise ImportError('{name} of the current directory')")
    done = run(cell, tmp_path / "place", cwd=directory)
    assert (done.stdout.split()[:-1], done.stderr) == (["served", "served"], "")


@pytest.mark.modes("spawn")
def test_files_on_the_path_that_have_the_names_of_modules_which_the_test_has(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest puts the directory of a test on the path, when Python's own modules have been imported."""
    for name in ("contextlib", "dataclasses", "functools", "pickle", "struct", "threading", "traceback", "types"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} of the path')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert make_client("tests.contract.test_fresh_interpreters:app").get("/").text == "served"


@pytest.mark.modes("fork", "forkserver", "spawn")
@pytest.mark.usefixtures("_fork_server_anew")
def test_a_current_directory_that_has_been_removed(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_client("tests.contract.test_fresh_interpreters:app").get("/")
    directory = tmp_path / "gone"
    directory.mkdir()
    monkeypatch.chdir(directory)
    directory.rmdir()
    for given in (app, "tests.contract.test_fresh_interpreters:app"):
        client = make_client(given)
        assert client.get("/").text == "served"
        with pytest.raises(FileNotFoundError):
            client.call(os.getcwd)


@pytest.mark.modes("forkserver")
@pytest.mark.parametrize("kind", ["long", "missing"])
def test_a_temporary_directory_that_can_not_be_used(cell: Cell, tmp_path: Path, kind: str) -> None:
    directory = tmp_path / ("x" * 120 if kind == "long" else "temporary")
    if kind == "long":
        directory.mkdir()
    done = run(cell, tmp_path / "place", env={"TMPDIR": str(directory)}, cwd="/")
    assert (done.stdout.split()[:-1], done.stderr) == (["served", "served"], "")


@pytest.mark.modes("forkserver")
def test_a_killed_test_leaves_no_temporary_files(cell: Cell, tmp_path: Path) -> None:
    directory = tmp_path / "temporary"
    directory.mkdir()
    more = "os.kill(os.getpid(), 9)"
    done = run(cell, tmp_path / "place", env={"TMPDIR": str(directory)}, cwd="/", more=more)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.startswith("served served")
    assert os.listdir(directory) == []
