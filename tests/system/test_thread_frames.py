"""Frames of other threads, which go on while somebody looks at them, whatever the garbage collector has to do then."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from isoclient.system.thread_frames import is_collecting, nothing_collected, stack_of, stacks

# The main thread calls functions whose frames are of many sizes, so that no frame is where another one was.
LOOKING = """
import gc, sys, threading, time
from isoclient.system.thread_frames import stack_of

sys.setswitchinterval(1e-6)
main, is_over = threading.main_thread().ident, False

class Garbage:
    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0)  # lets others run

def look():
    global is_over
    try:
        for _ in range(4000):
            for _ in range(3):
                Garbage()
            for frame in stack_of(main):
                frame.f_globals
    finally:
        is_over = True

def make(size):
    names = {"time": time}
    variables = " = ".join(f"v{number}" for number in range(size + 1))
    exec(f"def call(n, others):\\n {variables} = n\\n"
         " return others[n % len(others)](n - 1, others) if n else time.sleep(0)", names)
    return names["call"]

functions = [make(size) for size in (0, 1, 2, 5, 3, 7, 11, 4)]
gc.set_threshold(40, 2, 2)
threading.Thread(target=look, daemon=True).start()
while not is_over:
    for number, function in enumerate(functions):
        function(7 + number, functions[number:] + functions[:number])
"""


def test_a_thread_that_goes_on_is_looked_at_safely() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", LOOKING], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(params=[True, False], ids=["on", "off"])
def collector(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_the_collector_is_off_meanwhile_and_then_as_it_was(collector: bool) -> None:
    with nothing_collected():
        assert not gc.isenabled()
        with nothing_collected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled() is collector
    with contextlib.suppress(KeyError), nothing_collected():
        raise KeyError
    assert gc.isenabled() is collector


def test_two_threads_take_turns(collector: bool) -> None:
    has_begun, began = threading.Event(), []

    def look() -> None:
        has_begun.set()
        with nothing_collected():
            began.append(gc.isenabled())

    with nothing_collected():
        thread = threading.Thread(target=look)
        thread.start()
        has_begun.wait(10)
        assert began == []
    thread.join(10)
    assert (began, gc.isenabled()) == ([False], collector)


def test_the_frames_of_each_thread() -> None:
    is_there, may_end = threading.Event(), threading.Event()

    def outer() -> None:
        inner()

    def inner() -> None:
        is_there.set()
        may_end.wait(10)

    thread = threading.Thread(target=outer)
    thread.start()
    is_there.wait(10)
    names = [frame.f_code.co_name for frame in stack_of(thread.ident)]
    found = stacks()
    may_end.set()
    thread.join(10)
    assert names.index("inner") == names.index("outer") - 1
    assert [frame.f_code.co_name for frame in found[thread.ident or 0]][-len(names) :] == names
    assert sys._getframe() in found[threading.get_ident()]
    assert stack_of(thread.ident) == stack_of(None) == []


def test_whoever_asks_for_the_collector_waits_for_who_looks(collector: bool) -> None:
    has_begun, told = threading.Event(), []

    def ask() -> None:
        has_begun.set()
        told.append(is_collecting())

    with nothing_collected():
        thread = threading.Thread(target=ask)
        thread.start()
        has_begun.wait(10)
        assert told == []
    thread.join(10)
    assert told == [collector]
