"""``--isolated=together``: tests and their apps in one process, which is a fork of the run's."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

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
        from isoclient.process.unit_process import UnitProcess

        UnitProcess.await_leaving.__defaults__ = (0.5,)  # it would be waited for 10 s

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
