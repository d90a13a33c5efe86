"""``--isolated=together``: runs that are interrupted, or stop before their last test, tear down what is set up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.processes import wait_gone

Suite = Callable[..., pytest.RunResult]

TOGETHER = "--isolated=together"

INTERRUPTED = """
    import os
    import time
    from pathlib import Path
    import pytest

    @pytest.fixture(scope="session")
    def up():
        Path("up").write_text(str(os.getpid()))
        yield
        Path("down").write_text(str(os.getpid()))

    def test_waits(up):
        DO

    def test_next(): ...
"""


def interrupt(pytester: pytest.Pytester, do: str, *, group: bool, times: int = 1) -> tuple[str, int]:
    """Run it, interrupt it when it waits, and return what was said and the pid of the unit."""
    pytester.makepyfile(test_waits=INTERRUPTED.replace("DO", do))
    command = [sys.executable, "-m", "pytest", "-pisoclient.plugin", TOGETHER]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    deadline = monotonic() + 60
    while not Path("up").exists() or not Path("up").read_text():
        assert monotonic() < deadline
        sleep(0.05)
    for _ in range(times):
        sleep(0.5)
        (os.killpg if group else os.kill)(run.pid, signal.SIGINT)
    text, _ = run.communicate(timeout=60)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, text
    return text, int(Path("up").read_text())


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("group", [True, False])
def test_an_interrupt_ends_all(pytester: pytest.Pytester, group: bool) -> None:
    text, pid = interrupt(pytester, "time.sleep(300)", group=group)
    assert "test_waits.py:13: KeyboardInterrupt" in text
    assert "no tests ran" in text
    assert Path("down").read_text() == str(pid)
    assert wait_gone(pid, 5)


@pytest.mark.usefixtures("suite")
def test_an_interrupt_that_is_not_heeded(pytester: pytest.Pytester) -> None:
    do = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(300)"
    text, pid = interrupt(pytester, do, group=True, times=2)
    assert wait_gone(pid, 5)
    assert "KeyboardInterrupt" in text


def test_a_test_that_interrupts(suite: Suite) -> None:
    source = """
        import os, signal

        def test_one(): ...
        def test_two():
            os.kill(os.getpid(), signal.SIGINT)
        def test_three(): ...
    """
    result = suite(source, TOGETHER)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*test_suite.py:5: KeyboardInterrupt", "*1 passed in*"])


def test_a_test_that_ends_the_run(suite: Suite) -> None:
    source = """
        import pytest

        @pytest.fixture(scope="session")
        def up():
            yield
            open("down", "w").close()

        def test_one(up):
            pytest.exit("enough", returncode=7)

        def test_two(): ...
    """
    result = suite(source, TOGETHER)
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*Exit: enough*"])
    assert Path("down").exists()


@pytest.mark.parametrize("option", ["-x", "-n1", "--stepwise"])
def test_what_stops_a_run_tears_down(suite: Suite, option: str) -> None:
    source = """
        import os
        import pytest

        @pytest.fixture(scope="session")
        def up():
            yield
            with open("down", "a") as file:
                file.write("once ")

        def test_one(up): ...
        def test_two(up): assert 0
        def test_three(up): ...
    """
    options = {"-n1": ["-x", "-n1"], "--stepwise": ["-oaddopts=", "--stepwise"]}
    suite(source, TOGETHER, *options.get(option, [option])).assert_outcomes(passed=1, failed=1)
    assert Path("down").read_text() == "once "
