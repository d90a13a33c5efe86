"""The fork server: what becomes of starts, and of apps, when it is stopped, killed, or short of something."""

from __future__ import annotations

import os
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoclient import AppCrashed, AppStartupError, TestClient
from isoclient.process.forking import Forking
from isoclient.process.launch import fork_server, templates
from tests.processes import wait_gone

LONG = 40.0  # seconds: for a busy machine, and less than what would be waited for in vain


def running(app: str = "tests.reliability.plain_apps:plain") -> TestClient:
    client = TestClient(app, isolated=True, start_method="forkserver", timeout=60.0)
    assert client.get("/").text == "alive"
    return client


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + LONG
    while state(pid) != "T":
        assert time.monotonic() < end


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONG


@pytest.fixture
def _without_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app in a process that the fork server has forked."""
    monkeypatch.setattr(templates, "find", lambda _key: None)


def at_the_next_request(monkeypatch: pytest.MonkeyPatch, act: Callable[[Callable[[], None]], None]) -> None:
    """The next time that it is asked for a process, do this instead; given what asks."""
    ask, calls = Forking.ask, []

    def ask_or_act(*args: object) -> None:
        calls.append(args)
        if len(calls) > 1:
            ask(*args)  # type: ignore[arg-type]
        else:
            act(lambda: ask(*args))  # type: ignore[arg-type]

    monkeypatch.setattr(Forking, "ask", ask_or_act)


@pytest.mark.usefixtures("_without_templates")
class TestStopped:
    def test_another_takes_its_place(self) -> None:
        running().close()
        stopped = fork_server.pid
        stop(stopped)
        with pytest.warns(RuntimeWarning, match=rf"\(pid {stopped}\) was stopped"):
            client = running()
        assert fork_server.pid != stopped
        assert wait_gone(stopped, LONG)
        running().close()
        client.close()

    def test_amid_a_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        running().close()

        def stop_it(ask: Callable[[], None]) -> None:
            stop(fork_server.pid)
            ask()

        at_the_next_request(monkeypatch, stop_it)
        with pytest.warns(RuntimeWarning, match="was stopped"):
            running().close()

    def test_its_apps_end_in_order(self) -> None:
        client, crashing = running(), running()
        stop(fork_server.pid)
        client.close()
        with pytest.raises(AppCrashed) as caught:
            crashing.call(os._exit, 7)
        assert caught.value.exitcode is None  # nobody knows
        with pytest.warns(RuntimeWarning, match="was stopped"):
            assert crashing.get("/").text == "alive"
        crashing.close()


@pytest.fixture
def told() -> Iterator[list[warnings.WarningMessage]]:
    """What is warned of. The filters are part of what an app is started with: so they stay the same."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def test_a_template_that_is_stopped_is_replaced(told: list[warnings.WarningMessage]) -> None:
    running().close()
    client = running()
    template = parent(client.pid)
    stop(template)
    running().close()
    assert wait_gone(template, LONG)
    assert [f"(pid {template}) was stopped" in str(warning.message) for warning in told] == [True]
    assert parent(client.pid) == fork_server.pid  # which is its parent now
    client.close()


def test_the_apps_of_a_template_that_is_stopped_end_in_order(told: list[warnings.WarningMessage]) -> None:
    running().close()
    client = running()
    template = parent(client.pid)
    stop(template)
    client.close()
    assert wait_gone(template, LONG)
    assert told == []
    running().close()
    assert [f"(pid {template}) was stopped" in str(warning.message) for warning in told] == [True]


@pytest.mark.usefixtures("_without_templates")
class TestKilled:
    def test_between_two_starts(self) -> None:
        client = running()
        os.kill(fork_server.pid, signal.SIGKILL)
        assert wait_gone(fork_server.pid, LONG)
        running().close()
        client.close()

    def test_amid_a_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        running().close()

        def kill_it(ask: Callable[[], None]) -> None:
            stop(fork_server.pid)
            ask()
            os.kill(fork_server.pid, signal.SIGKILL)

        at_the_next_request(monkeypatch, kill_it)
        with pytest.raises(AppStartupError, match="has ended"):
            running()
        running().close()


@pytest.mark.usefixtures("_without_templates")
def test_an_interrupted_start(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Whether it has been asked or not: the next start knows nothing of that, and nothing is left or printed."""

    def interrupt(ask: Callable[[], None]) -> None:
        ask()
        raise KeyboardInterrupt

    for _ in range(2):  # the second time it runs already
        with monkeypatch.context() as patch:
            at_the_next_request(patch, interrupt)
            with pytest.raises(KeyboardInterrupt):
                running()
    running().close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_without_templates")
def test_what_it_is_short_of_is_told() -> None:
    running().close()
    soft, hard = resource.prlimit(fork_server.pid, resource.RLIMIT_NOFILE)
    taken = set(map(int, os.listdir(f"/proc/{fork_server.pid}/fd")))
    for limit in [number for number in range(100) if number not in taken][1:6]:  # of the 8 that it is sent
        resource.prlimit(fork_server.pid, resource.RLIMIT_NOFILE, (limit, hard))
        with pytest.raises(AppStartupError, match="ulimit -n"):
            running()
    resource.prlimit(fork_server.pid, resource.RLIMIT_NOFILE, (soft, hard))
    running().close()
