"""``--isoclient-polluters`` in real runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from isoclient.plugin import trials
from isoclient.process.unit_process import PATIENCE

Suite = Callable[..., pytest.RunResult]

ORDERS = """
import os

import pytest

from isoclient import TestClient

users = []
cache = {}

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": "".join(users).encode()})

def me_as_told():
    return TestClient(app).get("/me").text

def test_passes():
    assert me_as_told() == ""

@pytest.mark.parametrize("number", range(5))
def test_ada(number):
    if number == 3:
        users.append("ada")

def test_fills():
    cache["tea"] = 1

def test_fails_after_one():
    assert me_as_told() == ""

def test_passes_only_after_one():
    assert cache

def test_dies_after_one():
    if cache:
        pytest.skip("nothing to do")
    os._exit(3)

def test_fails_after_two():
    assert not (cache and users)

def test_fails_after_one_of_the_two():
    assert me_as_told() == ""
"""


def section(result: pytest.RunResult) -> list[str]:
    lines = result.outlines
    start = next(number for number, line in enumerate(lines) if "isoclient: tests that change" in line)
    end = next(number for number, line in enumerate(lines) if number > start and line.startswith("("))
    return lines[start + 1 : end]


def test_each_pair_in_a_line(suite: Suite) -> None:
    result = suite(ORDERS, "--isoclient-polluters")
    # The run itself is the usual one.
    result.assert_outcomes(passed=8, failed=3, skipped=1)
    ada = "test_suite.py::test_ada[3], which changes test_suite.users: 1 item (was 0) (test_suite.py:7)"
    fills = "test_suite.py::test_fills, which changes test_suite.cache: 1 item (was 0) (test_suite.py:8)"
    assert section(result) == [
        f"test_suite.py::test_fails_after_one fails after {ada}: alone, it passes",
        f"test_suite.py::test_passes_only_after_one passes only after {fills}: alone, it fails",
        f"test_suite.py::test_dies_after_one is skipped after {fills}: alone, it ends its process",
        f"test_suite.py::test_fails_after_two fails after {ada} and {fills}: alone, it passes",
        f"test_suite.py::test_fails_after_one_of_the_two fails after {ada}: alone, it passes",
    ]


def test_a_run_that_passes_fails_for_it(suite: Suite) -> None:
    result = suite(
        "import os\ndef test_a(): os.environ['SEEN'] = '1'\ndef test_b(): assert 'SEEN' in os.environ",
        "--isoclient-polluters",
    )
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert section(result) == [
        "test_suite.py::test_b passes only after test_suite.py::test_a, which changes the environment: "
        "SEEN = '1' (was unset) (test_suite.py:2): alone, it fails",
    ]


def test_independent_tests(suite: Suite) -> None:
    result = suite("def test_a(): pass\ndef test_b(): assert False", "--isoclient-polluters")
    result.assert_outcomes(passed=1, failed=1)
    assert section(result) == ["none: each test comes out alone as it does in the run"]


def test_one_that_comes_out_by_chance(suite: Suite) -> None:
    source = """
    from pathlib import Path

    def test_a(): pass

    def test_by_chance():  # each other time
        file = Path("seen")
        if file.exists():
            file.unlink()
        else:
            file.touch()
            assert False
    """
    result = suite(source, "--isoclient-polluters")
    assert section(result) == ["test_suite.py::test_by_chance fails in the run, passes alone, and not always so"]


def test_one_that_ends_the_run_alone_and_exit_handlers(suite: Suite) -> None:
    source = """
    import atexit
    from pathlib import Path

    import pytest

    ended = Path("ended")
    ready = []

    def note():
        with ended.open("a") as file:
            file.write("x")

    def test_a():
        atexit.register(note)
        ready.append(1)

    def test_b():
        ready or pytest.exit("no sense without the other one")
    """
    result = suite(source, "--isoclient-polluters")
    (line,) = section(result)
    assert line.startswith("test_suite.py::test_b passes only after test_suite.py::test_a, which ")
    assert line.endswith(": alone, it ends its process")
    assert "Traceback" not in result.stderr.str()
    runs = len(Path("ended").read_text())
    assert runs == 4  # the usual run, alone, before test_b, and once more to see what it leaves behind


def test_one_that_does_not_end(suite: Suite) -> None:
    source = """
    import threading
    ready = threading.Event()
    def test_a(): ready.set()
    def test_b(): ready.wait()
    """
    result = suite(source, "--isoclient-polluters", ini="isoclient_test_timeout = 1")
    assert section(result) == ["test_suite.py::test_b passes only after test_suite.py::test_a: alone, it does not end"]


def test_one_that_ends_its_process_each_time(suite: Suite) -> None:
    source = "import os\ndef test_a(): pass\ndef test_b(): os._exit(3)"
    result = suite(source, "--isoclient-polluters")
    result.assert_outcomes(passed=1, failed=1)
    assert section(result) == ["none: each test comes out alone as it does in the run"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--isolated"], "leave out --isolated"),
        (["--isoclient-leaks=report"], "leave out --isoclient-leaks"),
        (["-pno:terminal"], "leave out -p no:terminal"),
        (["-n2"], "leave out -n"),
    ],
    ids=["isolated", "leaks", "terminal", "workers"],
)
def test_what_it_does_not_go_with(suite: Suite, options: list[str], told: str) -> None:
    result = suite("def test_a(): pass", "--isoclient-polluters", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{told}*"])


def test_only_collecting(suite: Suite) -> None:
    result = suite("def test_a(): pass", "--isoclient-polluters", "--collect-only")
    assert "that change" not in result.stdout.str()


class Stuck:
    """A process of a trial that does not end by itself."""

    waited: ClassVar[list[float]] = []

    def __init__(self, main: object) -> None: ...

    def receive(self, seconds: float) -> tuple[list[str], list[str]]:
        return ["passed"], []

    def await_leaving(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return False

    def end(self) -> None: ...


def test_a_thread_that_holds_up_one_trial_does_not_hold_up_all(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "UnitProcess", Stuck)
    run = trials.Trials(request.session, 60.0)
    for _ in range(3):
        assert run([request.node]) == {request.node.nodeid: {"passed"}}
    first, *others = Stuck.waited
    assert first == PATIENCE
    assert max(others) < 1.0
