"""Processes that have nothing left to do: what is waited for, and what can be seen of them by then."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient.client.registry import registry
from isoclient.compat.python_exit import end_the_interpreter, forget_exit_handlers
from isoclient.process import departed
from isoclient.process.departed import Departed, await_death
from isoclient.server.departure import Departure
from tests.processes import is_alive, wait_gone

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


def test_one_that_the_kernel_does_not_let_die_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departed, "_DYING", 0.0)
    looks: list[None] = []
    await_death(lambda: looks.append(None))
    assert looks == [None]


def test_one_that_is_dead_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departed, "_MOMENT", "not a time to sleep")
    await_death(lambda: True)


def test_nobody_waits_twice_for_a_child() -> None:
    those, pids = Departed(), list[int]()
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        those.add(pid)
        pids.append(pid)
    os.waitpid(pids[-1], 0)  # as somebody may
    those.await_all()
    assert those.look()
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_the_end_of_a_fork_waits_for_them_too() -> None:
    """Such as that of a run of tests, whose children would be left to a process that may wait for none."""
    fork = os.fork()
    if fork == 0:
        try:
            forget_exit_handlers()
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            departed.departed.add(pid)
            end_the_interpreter()
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
                os._exit(2)
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


def of_forks(test: Any) -> Any:
    return pytest.mark.modes("fork")(pytest.mark.backends("asyncio")(test))


@pytest.fixture
def _all_are_awaited() -> Iterator[None]:
    yield
    departed.departed.await_all()


pytestmark = pytest.mark.usefixtures("_all_are_awaited")


@of_forks
def test_between_tests_its_word_is_enough(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    say_so = Departure.say_so

    def say_so_and_stay(departure: Departure, code: int) -> None:
        say_so(departure, code)
        time.sleep(60)

    monkeypatch.setattr(Departure, "say_so", say_so_and_stay)
    client = make_client(app)
    pid = client.pid
    with registry.between_tests(), warnings.catch_warnings():
        warnings.simplefilter("error")  # such as the one that it was ended by force
        client.close()
    assert wait_gone(pid, 10)  # for its whole group is ended


@of_forks
def test_within_a_test_its_end_is_waited_for(make_client: MakeClient) -> None:
    client = make_client(app)
    pid = client.pid
    client.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@of_forks
def test_others_can_have_what_it_has_held(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "lock"
    kept: list[object] = []

    def take() -> tuple[int, int]:
        listening, locked = socket.create_server(("127.0.0.1", 0)), file.open("w")
        fcntl.flock(locked, fcntl.LOCK_EX)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        kept.extend((listening, locked, child, b"x" * 2**27))  # so large that it takes the system a while
        return listening.getsockname()[1], child.pid

    client = make_client(app)
    port, child = client.call(take)
    with registry.between_tests():
        client.close()
    with file.open("w") as locked, socket.socket() as sock:
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sock.bind(("127.0.0.1", port))
    assert wait_gone(child, 10)


def begin_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


@of_forks
@pytest.mark.parametrize(("first", "says_so"), [(os.getpid, True), (begin_a_thread, False)])
def test_one_with_a_thread_left_says_nothing(
    make_client: MakeClient, first: Callable[[], object], says_so: bool
) -> None:
    """It may do something until the very end."""
    client = make_client(app)
    client.call(first)
    server = registry.of_this_test()[0].handle.connection.server
    client.close()
    assert server.leaving == says_so


@of_forks
def test_no_zombie_is_left_for_long(make_client: MakeClient) -> None:
    first, second = make_client(app), make_client(app)
    pid = first.pid
    with registry.between_tests():
        first.close()
    assert wait_gone(pid, 10)
    assert second.pid
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@of_forks
def test_what_it_had_to_say_at_its_exit_has_come(make_client: MakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare() -> None:
        import atexit

        atexit.register(print, "at the very end")

    client = make_client(app)
    client.call(prepare)
    with registry.between_tests():
        client.close()
    assert "at the very end" in capsys.readouterr().out


@of_forks
def test_in_a_fork_they_are_of_another(make_client: MakeClient) -> None:
    client = make_client(app)
    pid = client.pid
    with registry.between_tests():
        client.close()
    child = os.fork()
    if child == 0:
        os._exit(0 if departed.departed.look() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert wait_gone(pid, 10)


@pytest.mark.modes("spawn", "forkserver")
@pytest.mark.backends("asyncio")
def test_the_other_start_methods(make_client: MakeClient) -> None:
    client = make_client("tests.process.test_departed:app")
    pid = client.pid
    with registry.between_tests():
        client.close()
    assert wait_gone(pid, 10)
    departed.departed.await_all()
    assert not is_alive(pid)
