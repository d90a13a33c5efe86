"""What a failed test shows of the apps that it has used."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

SUITE = """
    import pytest
    from isoclient import AppCrashed, TestClient
    from shop import app

    client = TestClient(app, isolated=True)
    other = TestClient(app, isolated=True)

    def test_before():
        client.get("/before")
        other.get("/other")

    def test_runs():
        print("PID", client.pid)
        client.get("/runs")
        assert not "runs"

    def test_crashes():
        client.get("/segv")

    def test_crashes_and_goes_on():
        with pytest.raises(AppCrashed):
            client.get("/segv")
        client.get("/again")
        assert not "goes on"

    def test_hangs():
        client.get("/hang", timeout=0.2)

    def test_in_process():
        TestClient(app, isolated=False).get("/in-process")
        assert not "in process"

    def test_closed():
        with TestClient(app, isolated=True) as closed:
            closed.get("/closed")
        assert not "closed"
"""


def sections(result: pytest.RunResult) -> dict[str, list[str]]:
    """The text of the sections about apps, for each test."""
    found: dict[str, list[str]] = {}
    for line in result.stdout.lines:
        if test := re.fullmatch(r"_+ (test_\w+) _+", line):
            texts = found.setdefault(test[1], [])
        elif re.fullmatch(r"-+ isoclient: shop:app \(pid \d+\) -+", line):
            texts.append("")
        elif line.startswith(("---", "===", "[gw")):
            continue
        elif found and texts:
            texts[-1] += line + "\n"
    return found


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_the_sections(suite: Suite, options: tuple[str, ...]) -> None:
    result = suite(SUITE, *options)
    result.assert_outcomes(passed=1, failed=6)
    found = sections(result)
    [runs] = found["test_runs"]
    assert runs.startswith("It runs.\n")
    assert "now at /runs" in runs
    assert "/other" not in runs
    [crashes] = found["test_crashes"]
    assert crashes.startswith("It died of SIGSEGV.\nIts stack:\n    Fatal Python error: Segmentation fault\n")
    assert re.search(r'shop\.py", line \d+ in app', crashes)
    first, second = found["test_crashes_and_goes_on"]
    assert first.startswith("It died of SIGSEGV.")
    assert second.startswith("It runs.")
    [hangs] = found["test_hangs"]
    assert hangs.startswith("It was ended by force, for it did not answer.\nIts stack:\n")
    assert hangs.count("Current thread") == 1
    assert re.search(r'shop\.py", line \d+ in app', hangs)
    assert found["test_in_process"] == []
    [closed] = found["test_closed"]
    assert closed.startswith("It exited with code 0.\n")


def test_a_fixture_that_fails_shows_them_too(suite: Suite) -> None:
    source = """
        import pytest
        from shop import app

        @pytest.fixture
        def broken(isolated_client):
            isolated_client(app).get("/segv")

        def test_with_it(broken):
            pass
    """
    result = suite(source)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*isoclient: shop:app (pid *", "It died of SIGSEGV."])


def test_fresh_copies_are_shown(suite: Suite) -> None:
    source = """
        from isoclient import TestClient
        from shop import app

        def test_it():
            client = TestClient(app, isolated="request")
            client.get("/one")
            client.get("/segv")
    """
    result = suite(source)
    result.stdout.fnmatch_lines(["It exited with code 0.", "    now at /one", "It died of SIGSEGV."])


def test_long_output_is_cut(suite: Suite) -> None:
    source = """
        import sys

        async def app(scope, receive, send):
            print(*range(100), sep="\\n", file=sys.stderr)

        def test_it(isolated_client):
            isolated_client(app).get("/")
    """
    result = suite(source)
    result.stdout.fnmatch_lines(["The end of its stderr:", "    [[]...[]]", "    70", "    71"], consecutive=True)
