"""Processes that are forked ahead of the tests that they are for, and that nobody waits for at their end."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from isoclient.plugin.unit_processes import UnitProcesses, deaf_to_interrupts
from isoclient.process import unit_process
from isoclient.process.launch import fork
from isoclient.process.unit_process import UnitLine, UnitProcess
from isoclient.system import modules as system
from isoclient.system import pidfds

LIMIT = 10.0


def serve(line: UnitLine) -> None:
    with deaf_to_interrupts():
        line.send("waits")
        what, *_ = line.receive()
    line.send("did", what, os.getpid())


class Started:
    def __init__(self) -> None:
        self.processes: list[UnitProcess] = []

    def __call__(self) -> UnitProcess:
        self.processes.append(UnitProcess(serve))
        assert self.processes[-1].receive(LIMIT) == ("waits",)
        return self.processes[-1]


@pytest.fixture
def started() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.processes:
        process.end()


def test_one_that_is_prepared_is_the_next_to_be_taken(started: Started) -> None:
    processes = UnitProcesses(started)
    first = processes.take()
    processes.prepare()
    processes.prepare()
    assert len(started.processes) == 2
    second = processes.take()
    assert started.processes == [first, second]
    second.send("this")
    assert second.receive(LIMIT) == ("did", "this", second.pid)


def test_one_that_nobody_wants_is_ended(started: Started) -> None:
    processes = UnitProcesses(started)
    processes.prepare()
    processes.discard()
    assert started.processes[0].has_ended()
    processes.prepare()
    processes.close()
    assert started.processes[1].has_ended()


def test_one_that_somebody_has_ended_is_not_taken(started: Started) -> None:
    processes = UnitProcesses(started)
    processes.prepare()
    os.kill(started.processes[0].pid, signal.SIGKILL)
    assert started.processes[0].await_end()
    assert processes.take() is started.processes[1]


def test_one_that_waits_is_deaf_to_interrupts_and_hears_them_when_it_is_at_work(started: Started) -> None:
    process = started()
    process.interrupt()
    process.send("this")
    assert process.receive(LIMIT) == ("did", "this", process.pid)
    with deaf_to_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_nobody_waits_for_the_end_of_one_that_has_nothing_more_to_do(started: Started) -> None:
    processes = UnitProcesses(started)
    process = processes.take()
    process.send("this")
    assert process.await_leaving()
    processes.let_go(process)
    processes.close()
    assert process.has_ended()
    assert process.exitcode == 0


def test_one_that_has_failed_is_waited_for() -> None:
    def fail(line: UnitLine) -> None:
        raise SystemExit

    process = UnitProcess(fail)
    assert process.await_leaving()
    assert process.has_ended()
    assert process.exitcode == 1


def test_one_that_fails_while_somebody_listens_has_ended() -> None:
    def fail(line: UnitLine) -> None:
        line.send("begins")
        raise SystemExit

    process = UnitProcess(fail)
    assert process.receive(LIMIT) == ("begins",)
    with pytest.raises(EOFError):
        process.receive(LIMIT)
    assert process.exitcode == 1


def test_the_system_may_have_no_more_processes() -> None:
    def refuse() -> UnitProcess:
        raise BlockingIOError("no more")

    processes = UnitProcesses(refuse)
    processes.prepare()
    with pytest.raises(BlockingIOError):
        processes.take()


def refuse(*args: object) -> NoReturn:
    raise OSError(errno.EMFILE, "Too many open files")


def test_one_whose_start_fails_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def noting(book: list[int]) -> int:
        number = fork(book)
        pids.extend(book)
        return number

    monkeypatch.setattr(unit_process, "fork", noting)
    monkeypatch.setattr(pidfds, "are_there", lambda: True)
    monkeypatch.setattr(system.os, "pidfd_open", refuse, raising=False)
    with pytest.raises(OSError, match="Too many open files"):
        UnitProcess(serve)
    with pytest.raises(ChildProcessError):  # nobody is left who could be waited for
        os.waitpid(pids[0], os.WNOHANG)


def test_nothing_of_it_has_the_number_of_a_standard_stream(started: Started) -> None:
    kept = os.dup(0)
    os.close(0)
    try:
        process = started()
        process.send("this")
        assert process.receive(LIMIT) == ("did", "this", process.pid)
        assert os.readlink("/proc/self/fd/0") == os.devnull
    finally:
        os.dup2(kept, 0)
        os.close(kept)
