"""``--isolated=together``: a test that ends its process, or that does not end, fails alone, and says where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import wait_gone

Suite = Callable[..., pytest.RunResult]

TOGETHER = "--isolated=together"

DYING = """
    import ctypes
    import os
    import signal
    import sys
    import threading
    import pytest

    seen = []

    @pytest.fixture(scope="module")
    def up():
        print("set up in", os.getpid())
        return os.getpid()

    def test_before(up):
        seen.append("before")

    def test_dies(up):
        print("still here")
        print("last words", file=sys.stderr)
        END

    def test_after(up):
        assert up == os.getpid()
        assert seen == []
"""


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            "called os.kill(os.getpid(), signal.SIGSEGV) at test_suite.py:* in test_dies, in its call",
        ),
        ("ctypes.string_at(0)", "died of SIGSEGV, in its call"),
        ("os.abort()", "called os.abort() at test_suite.py:* in test_dies, in its call"),
        ("os._exit(3)", "called os._exit(3) at test_suite.py:* in test_dies, in its call"),
        ("os._exit(0)", "called os._exit(0) at test_suite.py:* in test_dies, in its call"),
    ],
)
def test_a_crash_is_the_failure_of_its_test(suite: Suite, end: str, line: str) -> None:
    result = suite(DYING.replace("END", end), TOGETHER)
    result.assert_outcomes(passed=2, failed=1)
    assert "Its stack:\n    " in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*_ test_dies _*",
            f"its process {line}",
            "Its stack:",
            "* in test_dies",
            "*Captured stdout call*",
            "still here",
            "*Captured stderr call*",
            "last words",
        ]
    )
    result.stdout.no_fnmatch_line("*pluggy*.py*")
    result.stdout.no_fnmatch_line("*isoclient*.py*")


def test_a_kill_has_no_stack(suite: Suite) -> None:
    result = suite(DYING.replace("END", "os.kill(os.getpid(), signal.SIGKILL)"), TOGETHER, "-n1")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["its process called os.kill(*SIGKILL) at test_suite.py:* in test_dies, in its call", "*still here*"]
    )


def test_where_a_test_dies(suite: Suite) -> None:
    source = """
        import atexit
        import os
        import threading
        import pytest

        @pytest.fixture
        def dies_at_first():
            os._exit(4)

        @pytest.fixture
        def dies_at_last():
            yield
            os._exit(5)

        def test_setup(dies_at_first): ...
        def test_teardown(dies_at_last): ...
        def test_passes(): ...

        def test_at_exit():
            atexit.register(os._exit, 6)
    """
    result = suite(source, TOGETHER, "-v")
    result.assert_outcomes(passed=3, errors=3)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_setup*",
            "its process called os._exit(4) at test_suite.py:* in dies_at_first, in its setup",
            "*in dies_at_first",
            "*ERROR at teardown of test_teardown*",
            "its process called os._exit(5) at test_suite.py:* in dies_at_last, in its teardown",
            "*ERROR at teardown of test_at_exit*",
            "its process called os._exit(6)*, as it ended, after this test, its last",
        ]
    )


def test_what_is_left_behind_kills(suite: Suite) -> None:
    """A thread that a test has left ends the process between two tests: the next one runs all the same."""
    source = """
        import os
        import threading
        import pytest

        @pytest.hookimpl(wrapper=True)
        def wait_for_the_thread(): ...

        def test_leaves_a_thread():
            os.register_at_fork  # here it lives until the protocol of the next one begins
            pytest.leave = threading.Event()
            threading.Thread(target=lambda: (pytest.leave.wait(), os._exit(9)), daemon=True).start()

        def test_next(): ...
    """
    conftest = """
        import pytest

        def pytest_runtest_protocol(item):
            if item.name == "test_next" and hasattr(pytest, "leave"):
                pytest.leave.set()
                __import__("time").sleep(60)
    """
    Path("conftest.py").write_text("\n".join(line[8:] for line in conftest.splitlines()))
    result = suite(source, TOGETHER)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaves_a_thread*",
            "its process called os._exit(9) at test_suite.py:* in <lambda>, after this test, and before the next one",
        ]
    )


def test_a_hang(suite: Suite) -> None:
    source = """
        import subprocess
        import sys
        from pathlib import Path

        def test_hangs():
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
            Path("pid").write_text(str(child.pid))
            print("waiting")
            child.wait()

        def test_next(): ...
    """
    result = suite(source, TOGETHER, ini="isoclient_test_timeout = 2")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "its process was ended, for its call took longer than 2 s",
            "(The setting isoclient_test_timeout is the limit.)",
            "Its stack:",
            "*test_suite.py* in test_hangs",
            "waiting",
        ]
    )
    assert wait_gone(int(Path("pid").read_text()), 5)


def test_a_hang_in_a_request_shows_the_lines_of_the_test_and_the_app(suite: Suite) -> None:
    source = """
        from isoclient import TestClient

        async def app(scope, receive, send):
            while True:
                await receive()

        def test_hangs():
            TestClient(app, timeout=None).get("/")
    """
    result = suite(source, TOGETHER, ini="isoclient_test_timeout = 2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Its tasks:", "*test_suite.py*, line 5, in app", "Its stack:", "*test_suite.py*, line 8 in test_hangs"]
    )
    result.stdout.no_fnmatch_line("*isoclient*.py*")
    result.stdout.no_fnmatch_line("*threading.py*")  # of the app's loop, which is idle


def test_a_hang_of_a_coroutine_shows_where_it_waits(suite: Suite) -> None:
    source = """
        import asyncio

        async def wait():
            await asyncio.Event().wait()

        def test_hangs():
            asyncio.run(wait())
    """
    result = suite(source, TOGETHER, ini="isoclient_test_timeout = 2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Its tasks:", "    task Task-1:", "*test_suite.py*, line 4, in wait", "Its stack:"])
