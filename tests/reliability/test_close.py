"""The end of a client: bounded in every state, and nothing of the app's outlives it."""

from __future__ import annotations

import ast
import asyncio
import atexit
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from isoclient import AppCrashed, Limits, TestClient
from isoclient.process.app_process import AppProcess
from tests.processes import is_alive, wait_gone
from tests.reliability.marks import each_method, slow
from tests.reliability.plain_apps import (
    LONG,
    Receive,
    Scope,
    Send,
    answer,
    clinging,
    hold_the_gil,
    ignore_signals,
    live,
    plain,
)
from tests.reliability.runs import environment, wait_until_stuck
from tests.waiting import eventually

BOUND = AppProcess.grace + 5.0  # a client's end, by force; generous, for it is not about clocks


def _timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


@contextmanager
def _at_the_next_alarm(action: Callable[[], object]) -> Iterator[None]:
    """Do it in a signal handler, in the midst of what this thread is doing by then."""
    old = signal.signal(signal.SIGALRM, lambda number, frame: action())
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# -- every state


async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
    """It ends in the way that its path says, which is none at all."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    await answer(send)
    if scope["path"] == "/gil":
        hold_the_gil()
    elif scope["path"] == "/deaf":
        ignore_signals()
        time.sleep(LONG)
    elif scope["path"] == "/sleep":
        time.sleep(LONG)
    elif scope["path"] == "/stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif scope["path"] == "/thread":
        threading.Thread(target=time.sleep, args=(LONG,)).start()


@slow
@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.parametrize("path", ["/gil", "/deaf", "/sleep", "/stop", "/thread"])
def test_it_is_bounded_whatever_the_app_does(method: str, path: str) -> None:
    client = TestClient(stubborn, isolated=True, start_method=method)
    pid = client.pid
    client.get("/")
    if path == "/thread":
        client.get(path)
    else:
        thread = threading.Thread(target=_swallow, args=(lambda: client.get(path),))
        thread.start()
        wait_until_stuck(pid)
    with pytest.warns(RuntimeWarning, match="was ended by force"):
        seconds = _timed(client.close)
    assert seconds < BOUND
    assert not is_alive(pid)
    if path != "/thread":
        thread.join(BOUND)
        assert not thread.is_alive()


def test_a_loop_that_is_stuck_is_not_asked_for_its_lifespan() -> None:
    """Its timeout is for a shutdown that is under way."""
    client = TestClient(stubborn, isolated=True, timeout=LONG)
    client.__enter__()
    pid = client.pid
    thread = threading.Thread(target=_swallow, args=(lambda: client.get("/sleep"),))
    thread.start()
    wait_until_stuck(pid)
    with pytest.warns(RuntimeWarning, match="in stubborn"):
        seconds = _timed(client.close)
    assert seconds < BOUND
    assert not is_alive(pid)
    thread.join(BOUND)


def _swallow(action: Callable[[], object]) -> None:
    with suppress(requests.RequestException):
        action()


def test_it_is_idempotent_and_the_next_use_starts_again() -> None:
    client = TestClient(plain, isolated=True)
    client.close()
    first = client.pid
    client.close()
    client.close()
    assert not is_alive(first)
    assert client.get("/").text == "alive"
    assert client.pid != first
    client.close()


@pytest.mark.parametrize("state", ["before the first byte", "lifespan startup", pytest.param("import", marks=slow)])
def test_while_it_starts(state: str) -> None:
    """Closed by another thread, or by a signal, in the midst of the start."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        time.sleep(LONG)

    def factory() -> object:
        time.sleep(LONG)
        return slow

    client = TestClient(factory if state == "import" else slow, isolated=True, factory=state == "import")
    if state == "before the first byte":
        pid = client.pid
        _timed(client.close)
        assert not is_alive(pid)
        return

    class Enough(Exception):
        pass

    def stop() -> None:
        raise Enough

    began = time.monotonic()
    with pytest.raises(Enough), pytest.warns(RuntimeWarning, match="by force"), _at_the_next_alarm(stop):
        client.__enter__()
    assert time.monotonic() - began < BOUND
    client.close()


# -- where it is called


def test_in_a_signal_handler_while_the_same_thread_waits() -> None:
    client = TestClient(plain, isolated=True)
    times: list[float] = []
    closed = pytest.raises(requests.ConnectionError, match="the client was closed while handling GET /wait")
    with client:
        pid = client.pid
        with _at_the_next_alarm(lambda: times.append(_timed(client.close))), closed:
            client.get("/wait")
    assert len(times) == 1
    assert times[0] < BOUND
    assert not is_alive(pid)


def test_in_a_signal_handler_while_the_same_thread_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppProcess, "grace", 1.0)  # it runs out

    async def not_reading(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        time.sleep(LONG)

    client = TestClient(not_reading, isolated=True, timeout=LONG)
    times: list[float] = []
    websocket = client.websocket_connect("/")
    websocket.send_text("sleep")
    forced = pytest.warns(RuntimeWarning, match="by force")
    with forced, _at_the_next_alarm(lambda: times.append(_timed(client.close))):
        websocket.send_bytes(bytes(16 << 20))
    with pytest.raises(requests.ConnectionError, match="the client was closed"):
        websocket.receive()
    assert times[0] < BOUND


def test_in_a_signal_handler_while_the_pipe_is_full() -> None:
    async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})

    client = TestClient(flooding, isolated=True)
    times: list[float] = []
    response = client.get("/", stream=True)
    with _at_the_next_alarm(lambda: times.append(_timed(client.close))), pytest.raises(requests.RequestException):
        for _ in response.iter_content(None):
            pass
    assert times[0] < BOUND


class Interruption(BaseException):
    """What a signal handler raises: KeyboardInterrupt, or pytest-timeout's."""


@pytest.mark.rest
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come in a finalizer
def test_an_exception_out_of_a_signal_handler_at_any_moment() -> None:
    """It may come between any two steps; the client works on, or starts again, and never waits for its deadline."""
    armed = False

    def interrupt(number: int, frame: object) -> None:
        if armed:
            raise Interruption

    client = TestClient(plain, isolated=True, timeout=LONG)
    old = signal.signal(signal.SIGALRM, interrupt)
    longest = 0.0
    try:
        for number in range(300):
            began = time.monotonic()
            assert client.get("/").text == "alive"
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + number * 0.00001, 1.0)
                while True:
                    client.get("/")
            except Interruption:
                armed = False
            finally:
                armed = False
            longest = max(longest, time.monotonic() - began)
        assert client.get("/").text == "alive"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        client.close()
    assert longest < LONG


def test_by_the_garbage_collector() -> None:
    client = TestClient(plain, isolated=True)
    pid = client.pid
    client.itself = client  # type: ignore[attr-defined]  # so that only the collector ends it
    del client
    assert is_alive(pid)
    gc.collect()
    assert not is_alive(pid)


@each_method
def test_at_exit(method: str, tmp_path: Path) -> None:
    """By isoclient's own handler, and by one that the user has registered, before or after the client was made."""
    script = tmp_path / "leaving.py"
    script.write_text(
        textwrap.dedent(f"""
        import atexit
        from isoclient import TestClient
        from tests.reliability.plain_apps import plain
        first = TestClient(plain, isolated=True, start_method={method!r})
        atexit.register(first.close)
        second = TestClient(plain, isolated=True, start_method={method!r})
        print([first.pid, second.pid])
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(map(is_alive, ast.literal_eval(done.stdout)))


def test_by_another_thread_while_requests_wait() -> None:
    client = TestClient(plain, isolated=True)
    client.get("/")
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            client.get("/wait")
        except requests.RequestException as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: client.call(_count_waiting) >= 4)
    assert _timed(client.close) < BOUND
    for thread in threads:
        thread.join(BOUND)
    assert len(errors) == 4


def _count_waiting() -> int:

    return sum("http" in task.get_name() for task in asyncio.all_tasks())


# -- nothing outlives it


@each_method
def test_what_the_app_has_started_ends_with_it(method: str) -> None:
    with TestClient(clinging, isolated=True, start_method=method) as client:
        pids = ast.literal_eval(client.get("/").text)
        assert len(pids) == 3
        assert all(map(is_alive, pids))
    assert all(wait_gone(pid, BOUND) for pid in pids)


@each_method
def test_what_the_app_has_started_ends_with_its_crash(method: str) -> None:
    with TestClient(clinging, isolated=True, start_method=method) as client:
        pids = ast.literal_eval(client.get("/").text)
        with pytest.raises(AppCrashed):
            client.call(os._exit, 7)
        assert all(wait_gone(pid, BOUND) for pid in pids)


@each_method
def test_what_was_started_at_import_ends_with_a_crash_there(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dying_app.py").write_text(
        "import os, subprocess\n"
        f"started = subprocess.Popen(['sleep', '{LONG}'])\n"
        "with open(__file__ + '.pid', 'w') as file:\n"
        "    file.write(str(started.pid))\n"
        "os._exit(0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    client = TestClient("dying_app:app", isolated=True, start_method=method)
    with pytest.raises(
        AppCrashed, match=r"called os\._exit\(0\) at \S*dying_app.py:5 in <module>, while being started"
    ):
        client.get("/")
    client.close()
    assert wait_gone(int((tmp_path / "dying_app.py.pid").read_text()), BOUND)


# -- options


@each_method
def test_restart_false(method: str) -> None:
    client = TestClient(plain, isolated=True, start_method=method, restart=False)
    with pytest.raises(AppCrashed):
        client.call(os._exit, 7)
    for _ in range(2):
        with pytest.raises(AppCrashed, match="restart=False") as caught:
            client.get("/")
        assert caught.value.exitcode == 7
    client.restart()
    assert client.get("/").text == "alive"
    client.close()


def _take_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def _take_processor() -> None:
    while True:
        pass


def _take_descriptors() -> None:
    while True:
        os.dup(0)


@each_method
@pytest.mark.parametrize(
    ("limits", "hit", "text", "act"),
    [
        (Limits(memory=64 << 20), "memory", "64 MiB of memory", _take_memory),
        pytest.param(Limits(cpu_seconds=2), "cpu_seconds", "2 s of processor time", _take_processor, marks=slow),
        (Limits(open_files=20), "open_files", "20 open files", _take_descriptors),
    ],
    ids=["memory", "cpu_seconds", "open_files"],
)
def test_limits(method: str, limits: Limits, hit: str, text: str, act: Callable[[], None]) -> None:
    with TestClient(plain, isolated=True, start_method=method, limits=limits) as client:
        with pytest.raises(AppCrashed, match=text) as caught:
            client.call(act)
        assert caught.value.limit == hit
        assert client.get("/").text == "alive"


def test_a_stopped_process_is_not_given_time_for_a_signal_that_it_can_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoclient.process.app_process._TERM_TIME", float(LONG))
    monkeypatch.setattr(AppProcess, "grace", 0.1)
    client = TestClient(plain, isolated=True)
    client.get("/")
    os.kill(client.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="is stopped"):
        client.close()
    assert time.monotonic() - began < LONG / 2


@slow
def test_an_app_that_gets_little_of_a_processor_gets_its_time_nevertheless() -> None:
    def work() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    def share_a_processor() -> None:
        os.sched_setaffinity(0, [0])
        os.nice(19)
        atexit.register(work)

    with subprocess.Popen([sys.executable, "-c", "import os; os.sched_setaffinity(0, [0])\nwhile True: pass"]) as busy:
        try:
            with TestClient(plain, isolated=True) as client:
                client.call(share_a_processor)
        finally:
            busy.kill()
