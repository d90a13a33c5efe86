"""A run of pytest with an app that is stuck: one test fails, or Ctrl-C ends the run; and what is told of both."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoclient import AppTimeout, TestClient
from isoclient.process.app_process import AppProcess
from tests.processes import wait_gone
from tests.reliability.marks import slow
from tests.reliability.plain_apps import (
    LONG,
    plain,
)
from tests.reliability.runs import environment, wait_until_stuck

BOUND = AppProcess.grace + 5.0  # a client's end, by force; generous, for it is not about clocks


# -- a real run


_RUN = """
    import os, time, pytest
    from isoclient import TestClient
    from tests.reliability.plain_apps import clinging

    @pytest.fixture(scope="session")
    def client():
        with TestClient(clinging, isolated=True) as client:
            yield client

    def test_good(client):
        print("pids:", [client.pid, *eval(client.get("/").text)], ".", flush=True)

    def test_{name}(client):
        {body}

    def test_good_again(client):
        assert client.get("/").status_code == 200
        print("pids:", [client.pid, *eval(client.get("/").text)], ".", flush=True)
"""


def _write_run(tmp_path: Path, name: str, body: str) -> list[str]:
    file = tmp_path / "test_run.py"
    file.write_text(textwrap.dedent(_RUN).format(name=name, body=body))
    plugins = ["-p", "no:cacheprovider", "-p", "isoclient"]
    options = [*plugins, "-s", "-c", os.devnull, "--rootdir", str(tmp_path)]
    return [sys.executable, "-m", "pytest", *options, str(file)]


def _pids(output: str) -> list[int]:
    lists = [text.partition("]")[0] for text in output.split("pids: [")[1:]]
    return [int(pid) for text in lists for pid in text.split(",")]


@pytest.mark.parametrize(
    "body",
    [
        "client.call(os._exit, 7)",
        pytest.param("client.call(os.abort)", marks=slow),
        pytest.param("client.call(exit, 3)", marks=slow),
    ],
)
def test_only_the_guilty_test_fails(tmp_path: Path, body: str) -> None:
    command = _write_run(tmp_path, "guilty", body)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment())
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "::test_guilty" in done.stdout.partition("short test summary")[2]
    assert "isoclient.AppCrashed" in done.stdout
    pids = _pids(done.stdout)
    assert len(pids) == 8
    assert all(wait_gone(pid, BOUND) for pid in pids)


_ALSO_STUCK = ('client.get("/deaf")', "time.sleep(40)", "client.call(time.sleep, 40)")


@pytest.mark.parametrize("body", ['client.get("/gil")', *(pytest.param(body, marks=slow) for body in _ALSO_STUCK)])
def test_ctrl_c_ends_the_run_and_leaves_nothing(tmp_path: Path, body: str) -> None:
    """In a terminal: the line discipline sends SIGINT to all processes of the foreground group."""
    body = f"print('it is stuck now', flush=True); {body}"
    pid, terminal = pty.fork()
    if pid == 0:
        command = _write_run(tmp_path, "stuck", body)
        os.execve(command[0], command, environment())
    try:
        output = _read_until(terminal, "it is stuck now")
        if "client" in body:
            wait_until_stuck(_pids(output)[0])
        os.write(terminal, b"\x03")
        began = time.monotonic()
        output += _read_until(terminal, None)
        seconds = time.monotonic() - began
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert "KeyboardInterrupt" in output
    assert "1 passed" in output
    # Of this, 1.7 s at most are ours, and the rest is pytest's own end; were the app waited for, it would be LONG.
    assert seconds < LONG / 2
    pids = _pids(output)
    assert len(pids) == 4
    assert all(wait_gone(pid, BOUND) for pid in pids)


def _read_until(terminal: int, text: str | None) -> str:
    """Read from a terminal until this comes, or all of it."""
    data = b""
    poll = select.poll()
    poll.register(terminal, select.POLLIN)
    while text is None or text.encode() not in data:
        assert poll.poll(60_000), data.decode(errors="replace")
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has it open any more
            piece = b""
        if not piece:
            break
        data += piece
    return data.decode(errors="replace")


def test_a_deadline_is_told_with_the_stack_of_a_thread_that_blocks() -> None:
    def blocked(*args: Any) -> None:
        time.sleep(LONG)

    with TestClient(plain, isolated=True) as client:
        client.timeout = 0.3
        with pytest.raises(AppTimeout, match="its event loop is stuck") as caught:
            client.call(blocked)
    assert "in blocked" in caught.value.stack


def test_the_stack_is_of_the_moment_when_the_deadline_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        os.read(reading, 1)
        await asyncio.Event().wait()

    ask = AppProcess.ask_for_stack

    def ask_and_go_on(handle: AppProcess) -> Callable[[], str]:
        stack = ask(handle)()
        os.write(writing, b"x")  # so that the loop answers, and what it is asked for then shows that it works
        return lambda: stack

    monkeypatch.setattr(AppProcess, "ask_for_stack", ask_and_go_on)
    client = TestClient(app, isolated=True)
    client.call(int)  # so that it runs
    pid = client.pid
    with pytest.raises(AppTimeout) as caught:
        client.get("/", timeout=0.3)
    assert "in app" in caught.value.stack
    assert "asyncio.Event().wait()" in caught.value.tasks
    assert client.pid == pid
    client.close()
    os.close(reading)
    os.close(writing)
