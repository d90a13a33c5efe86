"""pytest-timeout and faulthandler, on a test that waits for an app which is stuck."""

from __future__ import annotations

import os
import re
from pathlib import Path
from time import monotonic, sleep

from tests.debugging.session import RunPytest, StartPytest

TIMEOUT = ("-p", "timeout")

APP = """
import asyncio, os, time
import pytest
from isoclient import TestClient

async def app(scope, receive, send):
    if scope["path"] == "/await":
        await asyncio.sleep(600)
    if scope["path"] == "/block":
        time.sleep(600)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})

@pytest.fixture(scope="session")
def client():
    client = TestClient(app, isolated=True)
    print("pid of the app:", client.pid)
    yield client
    client.close()
"""


def write_test(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_shop.py").write_text(APP + source)


def pids(text: str) -> set[int]:
    return {int(pid) for pid in re.findall(r"pid of the app: (\d+)", text)}


def assert_gone(pid: int) -> None:
    end = monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert monotonic() < end, f"process {pid} is left"
        sleep(0.01)


def test_a_time_limit_by_signal_leaves_a_client_that_can_be_used(run_pytest: RunPytest, tmp_path: Path) -> None:
    write_test(
        tmp_path,
        """
@pytest.mark.timeout(1, method="signal", func_only=True)
@pytest.mark.parametrize("path", ["/await", "/block"])
def test_stuck(client, path):
    client.get(path)

def test_next(client):
    assert client.get("/", timeout=10).text == "fine"
    print("pid of the app:", client.pid)
""",
    )

    started = monotonic()
    code, text = run_pytest(tmp_path, *TIMEOUT, "-rA", "-k", "await or next")

    assert code == 1
    assert monotonic() - started < 30
    assert text.count("Timeout (>1.0s) from pytest-timeout") >= 1
    assert "1 failed, 1 passed" in text
    assert len(pids(text)) == 1  # the app that awaits goes on, for others
    assert_gone(*pids(text))


def test_a_stuck_event_loop_is_ended_when_the_client_is_used_again(run_pytest: RunPytest, tmp_path: Path) -> None:
    write_test(
        tmp_path,
        """
from isoclient import AppTimeout

@pytest.mark.timeout(1, method="signal", func_only=True)
def test_stuck(client):
    client.get("/block")

def test_next(client):
    with pytest.raises(AppTimeout, match="its event loop is stuck"):
        client.get("/", timeout=0.5)
    assert client.get("/").text == "fine"
    print("pid of the app:", client.pid)
""",
    )

    code, text = run_pytest(tmp_path, *TIMEOUT, "-rA")

    assert code == 1
    assert "Timeout (>1.0s) from pytest-timeout" in text
    assert "1 failed, 1 passed" in text
    assert len(pids(text)) == 2
    for pid in pids(text):
        assert_gone(pid)


def test_a_time_limit_by_thread_ends_the_app_with_the_run(run_pytest: RunPytest, tmp_path: Path) -> None:
    write_test(
        tmp_path,
        """
def test_stuck(client):
    client.get("/block")
""",
    )

    code, text = run_pytest(tmp_path, *TIMEOUT, "-s", "--timeout=1.5", "--timeout-method=thread")

    assert code == 1
    assert "in test_stuck" in text
    for pid in pids(text):
        assert_gone(pid)


def test_faulthandler_shows_where_the_test_waits(run_pytest: RunPytest, tmp_path: Path) -> None:
    """Its time runs from the setup on: a test of its own starts the app, or a slow start would be what is shown."""
    write_test(
        tmp_path,
        """
from isoclient import AppTimeout

def test_start(client):
    assert client.get("/").text == "fine"

def test_stuck(client):
    with pytest.raises(AppTimeout):
        client.get("/await", timeout=2)
""",
    )

    code, text = run_pytest(tmp_path, "-s", "-o", "faulthandler_timeout=1")

    assert (code, "2 passed" in text) == (0, True), text
    assert "Timeout (0:00:01)!" in text
    assert "in test_stuck" in text, text


def test_no_time_limit_passes_at_a_prompt(start_pytest: StartPytest, tmp_path: Path) -> None:
    write_test(
        tmp_path,
        """
async def stops(scope, receive, send):
    breakpoint()
    await app(scope, receive, send)

def test_it():
    client = TestClient(stops, isolated=True)
    assert client.get("/").text == "fine"
    client.close()
""",
    )

    with start_pytest(*TIMEOUT, "--timeout=3", cwd=tmp_path) as session:
        session.prompt()
        sleep(3.2)  # somebody thinks, for longer than the limit
        assert "\n2\n" in session.ask("p 1 + 1")
        session.type("continue")
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text
