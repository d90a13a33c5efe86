"""When a debugger is at work, no deadline passes; when it has let go, they begin anew."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pdb import Pdb
from time import monotonic
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from isoclient.drive import waiting
from isoclient.drive.failures import DeadlineExceeded
from isoclient.drive.prompts import is_at_work, prompts
from isoclient.drive.waiting import Deadline


def has_passed(deadline: Deadline) -> bool:
    try:
        deadline.check()
    except DeadlineExceeded:
        return True
    return False


@pytest.fixture
def open_prompt() -> Iterator[None]:
    prompts.begin()
    yield
    if prompts.open:
        prompts.end()


def test_without_a_debugger_it_passes() -> None:
    assert not is_at_work()
    assert has_passed(Deadline(0))
    assert not has_passed(Deadline(60))
    assert not has_passed(Deadline(None))


@pytest.mark.usefixtures("open_prompt")
def test_while_a_prompt_is_open_it_begins_anew() -> None:
    deadline = Deadline(0)

    assert not has_passed(deadline)
    assert deadline.remaining() != 0.0


@pytest.mark.usefixtures("open_prompt")
def test_when_a_prompt_is_closed_it_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: monotonic() - 61))
        deadline = Deadline(60)

    prompts.end()

    assert (deadline.remaining() or 0) > 50


def test_a_thread_that_is_stopped_in_pdb_is_seen() -> None:
    stopped, go_on = threading.Event(), threading.Event()

    class Debugger(Pdb):
        def cmdloop(self, intro: Any = None) -> None:
            stopped.set()
            go_on.wait(60)
            self.set_continue()

    def run() -> None:
        Debugger(nosigint=True, readrc=False).set_trace()
        return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert stopped.wait(60)
        assert is_at_work()
        assert not has_passed(Deadline(0))
    finally:
        go_on.set()
        thread.join()
    assert not is_at_work()


def test_an_attached_debugger_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydevd", ModuleType("pydevd"))
    assert not is_at_work()  # it is loaded, and does not trace

    def trace(*_: object) -> None:
        pass

    trace.__module__ = "_pydevd_bundle.pydevd_trace_dispatch_regular"
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        attached = is_at_work()
    finally:
        sys.settrace(before)
    assert attached
