"""``--isolated=together``: tests and their apps in one process, which is a fork of the run's."""

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

LEAKY = """
    import os
    import pytest
    import shop

    @pytest.fixture(scope="session", autouse=True)
    def once():
        assert shop.seen == []  # or it is not as it was when it was imported
        shop.seen.append("set up")

    def test_one():
        assert shop.seen == ["set up"]
        shop.seen.append("one")
        os.environ["LEFT"] = "behind"

    def test_two():
        assert shop.seen == ["set up", "one"]
        assert os.environ["LEFT"] == "behind"
"""


def test_each_file_begins_with_what_was_imported(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a=LEAKY, test_b=LEAKY)
    suite(LEAKY).assert_outcomes(passed=2, errors=4)
    suite(LEAKY, TOGETHER).assert_outcomes(passed=6)
    suite(LEAKY, TOGETHER, "test_b.py", "test_suite.py", "test_a.py").assert_outcomes(passed=6)
    suite(LEAKY, TOGETHER, "-n2", "--dist=loadfile").assert_outcomes(passed=6)


PIDS = """
    import os
    from pathlib import Path
    import pytest
    from isoclient import TestClient
    from shop import app

    def note(name):
        assert TestClient(app).get("/").text == str(os.getpid())
        with open("pids", "a") as file:
            print(name, os.getpid(), file=file)

    class TestOne:
        def test_one(self): note("one")
        def test_two(self): note("two")

    def test_three(): note("three")
"""


@pytest.mark.parametrize(
    ("options", "ini", "processes"),
    [
        ((TOGETHER,), "", 1),
        (("--isolated=together:test",), "", 3),
        pytest.param((), "isoclient_isolated = together", 1, marks=pytest.mark.rest),
        ((), "isoclient_isolated = together:test", 3),
    ],
)
def test_a_process_for_each(
    suite: Suite, options: tuple[str, ...], ini: str, processes: int, pytester: pytest.Pytester
) -> None:
    suite(PIDS, *options, ini=ini).assert_outcomes(passed=3)
    pids = {int(line.split()[1]) for line in (pytester.path / "pids").read_text().splitlines()}
    assert len(pids) == processes


def test_marks_say_for_tests(suite: Suite, pytester: pytest.Pytester) -> None:
    """A run that isolates apps, with tests in it that run together with theirs, and the other way round."""
    source = """
        import os
        import pytest
        from isoclient import TestClient
        from shop import app

        main = int(os.environ["MAIN"]) if "MAIN" in os.environ else os.getpid()

        @pytest.fixture(scope="module")
        def up():
            yield os.getpid()
            with open("downs", "a") as file:
                print(os.getpid() == main, file=file)

        def is_app_here():
            return TestClient(app).get("/").text == str(os.getpid())

        @pytest.mark.isolated("test")
        def test_app_elsewhere(up):
            assert up == os.getpid() == main
            assert not is_app_here()

        @pytest.mark.isolated("together")
        class TestTogether:
            pids = []

            def test_one(self, up):
                assert up == os.getpid() != main
                assert is_app_here()
                self.pids.append(os.getpid())

            def test_two(self, up):
                assert self.pids == [os.getpid()]

        @pytest.mark.isolated("together:test")
        def test_alone(up):
            assert up == os.getpid() != main
            assert os.getpid() not in TestTogether.pids

        @pytest.mark.isolated(False)
        def test_not_at_all(up):
            assert up == os.getpid() == main
            assert is_app_here()
    """
    for option in ("--isolated", TOGETHER):
        suite(source, option).assert_outcomes(passed=5)
        assert (pytester.path / "downs").read_text().split() == ["True", "False", "False", "True"]
        (pytester.path / "downs").unlink()


def test_settings_say_for_directories(suite: Suite, pytester: pytest.Pytester) -> None:
    source = """
        import os
        import pytest

        def test_where():
            assert (os.getpid() == int(os.environ["MAIN"])) is {}

        @pytest.mark.isolated("client")
        def test_marked():
            assert os.getpid() == int(os.environ["MAIN"])
    """
    pytester.makeconftest("import os; os.environ['MAIN'] = str(os.getpid())")
    for directory, here in (("one", True), ("two", False), ("two/three", True)):
        Path(directory).mkdir()
        file = Path(directory, f"test_{Path(directory).name}.py")
        file.write_text("\n".join(line[8:] for line in source.format(here).splitlines()))
    ini = "isoclient_paths =\n    two together\n    two/three/test_three.py false"
    suite("", "--isolated", "one", "two", ini=ini).assert_outcomes(passed=6)
    suite("", "one", "two", "-k", "marked").assert_outcomes(passed=3, deselected=3)


@pytest.mark.parametrize("line", ["together", "one apart"])
def test_paths_that_say_nothing_known(suite: Suite, line: str) -> None:
    result = suite("", "--isolated", ini=f"isoclient_paths = {line}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*isoclient_paths: '{line}': *"])


def test_a_mark_that_says_nothing_known(suite: Suite) -> None:
    source = """
        import pytest

        @pytest.mark.isolated("apart")
        def test_one(): ...
    """
    result = suite(source, TOGETHER)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*isolated('apart'); the mark takes *'together' or 'together:test'"])


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


@pytest.mark.parametrize("text", ["soon", "0", "-1"])
def test_limits_that_are_none(suite: Suite, text: str) -> None:
    result = suite("def test_one(): ...", TOGETHER, ini=f"isoclient_test_timeout = {text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*isoclient_test_timeout is '{text}'; it is a number of seconds, or none"])


def test_a_run_without_a_terminal(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite("def test_one(): ...\ndef test_two(): assert 0", TOGETHER, "-pno:terminal", "--junit-xml=all.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert 'failures="1" skipped="0" tests="2"' in (pytester.path / "all.xml").read_text()


def test_a_teardown_that_dies_after_an_interrupt_is_told_as_that(suite: Suite) -> None:
    source = """
        import os
        import pytest

        @pytest.fixture(scope="module")
        def up():
            yield
            os._exit(5)

        def test_interrupted(up):
            raise KeyboardInterrupt

        def test_next(up): ...
    """
    result = suite(source, TOGETHER)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_interrupted*", "its process called os._exit(5) at *"])
    assert "Traceback" not in result.stderr.str()


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


def test_forks_of_tests(suite: Suite) -> None:
    """One that comes back to where the test was called ends there; one that lives on holds nothing up."""
    source = """
        import os
        import sys
        from pathlib import Path

        def test_comes_back():
            if (pid := os.fork()) == 0:
                return
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 70

        def test_leaves_one():
            if (pid := os.fork()) == 0:
                os.execvp(sys.executable, [sys.executable, "-c", "import time; time.sleep(20)"])
            Path("pid").write_text(str(pid))

        def test_dies():
            os._exit(1)
    """
    begun = monotonic()
    result = suite(source, TOGETHER)
    result.assert_outcomes(passed=2, failed=1)
    assert monotonic() - begun < 20
    os.kill(int(Path("pid").read_text()), signal.SIGKILL)


def test_a_thread_that_does_not_end(suite: Suite) -> None:
    source = """
        import threading
        def test_one():
            threading.Thread(target=threading.Event().wait, name="mailer").start()
        def test_two(): ...
    """
    result = suite(source, TOGETHER, "-Wdefault")
    result.assert_outcomes(passed=2, warnings=1)
    stuck = "the process of the last tests of test_suite.py did not end by itself, and was ended by force"
    result.stdout.fnmatch_lines(
        [f"*{stuck}: it waits for the thread 'mailer', which is to be joined, or made a daemon"]
    )


def test_nothing_of_it_in_a_run_without(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        import os
        import sys

        def test_one():
            assert "isoclient.plugin.unit_run" not in sys.modules
            assert "isoclient.plugin.together" not in sys.modules
            assert os.getppid() == int(os.environ["RUNNER"])
    """
    monkeypatch.setenv("RUNNER", str(os.getpid()))
    suite(source, fresh=True).assert_outcomes(passed=1)
