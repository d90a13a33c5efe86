"""How long a template lives, and what becomes of its apps; see ``test_templates.py``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from isoclient import AppCrashed, TestClient
from isoclient.process import launch
from isoclient.process.launch import templates
from tests.process.conftest import LONG, Module, ask
from tests.processes import is_alive, wait_gone

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="templates need pidfds, which are Linux's")


def template_of(client: TestClient) -> int:
    return int(Path(f"/proc/{client.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_one_that_is_killed_is_made_anew_and_its_apps_go_on(module: Module) -> None:
    module.ask()
    with module.client() as client:
        template = template_of(client)
        os.kill(template, signal.SIGKILL)
        assert wait_gone(template, LONG)
        assert ask(client, "served") == 1
        assert module.ask("IMPORTER == os.getpid()") is True
        assert module.ask("IMPORTER == os.getpid()") is False
        assert ask(client, "served") == 2


def test_it_survives_the_process_that_has_left_it(module: Module) -> None:
    first = module.client()
    ask(first, "served")
    os.kill(first.pid, signal.SIGKILL)
    with contextlib.suppress(AppCrashed):  # if it is not known yet
        first.close()
    assert module.ask("IMPORTER == os.getpid()") is False


def test_there_are_but_a_few_at_a_time(module: Module, tmp_path: Path) -> None:
    module.ask()
    with module.client() as client:
        first = template_of(client)
        for _ in range(5):
            other = Module(tmp_path)
            other.write()
            assert other.ask("IMPORTER == os.getpid()") is True
        assert len(templates) == 4
        assert ask(client, "served") == 1  # for which the template stays
        assert is_alive(first)
    assert wait_gone(first, LONG)


def test_at_the_end_of_a_test_run_nothing_is_warned_of(module: Module, tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(f"""
from isoclient import TestClient

def test_shop():
    assert TestClient("{module.name}:app", isolated=True).post("/", data="1").text == "1"
""")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_shop.py"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # for what others warn of
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_zombie_stays_of_one_that_has_ended(module: Module) -> None:
    module.ask()
    with module.client() as client:
        template = template_of(client)
    server = int(Path(f"/proc/{template}/stat").read_text().rpartition(")")[2].split()[1])
    assert server == launch.fork_server.pid
    templates.close()
    end = time.monotonic() + LONG
    while Path(f"/proc/{template}").exists() and time.monotonic() < end:
        time.sleep(0.002)
    assert not Path(f"/proc/{template}").exists()


def test_it_ends_when_the_tests_process_is_killed(module: Module, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import os, sys
        sys.path[:0] = [{str(tmp_path)!r}]
        from isoclient import TestClient
        TestClient("{module.name}:app", isolated=True).post("/", data="1")
        client = TestClient("{module.name}:app", isolated=True)
        client.post("/", data="1")
        parent = open(f"/proc/{{client.pid}}/stat").read().rpartition(")")[2].split()[1]
        print(client.pid, parent, flush=True)
        sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        app, template = map(int, process.stdout.readline().split())
        process.kill()
    assert wait_gone(app, LONG)
    assert wait_gone(template, LONG)
