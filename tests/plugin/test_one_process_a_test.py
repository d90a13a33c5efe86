"""``isolated="test"``, which is what ``--isolated`` means: a fresh process for each test."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

FRESH = """
    import os
    import pytest
    from ended import has_ended
    from isoclient import TestClient
    from shop import app

    client = TestClient(app)
    pids = set()

    @pytest.fixture
    def around():
        before = client.get("/").text
        yield before
        assert client.get("/").text == before

    @pytest.mark.parametrize("number", range(3))
    def test_meets_a_fresh_one(number, around):
        assert client.get("/").text == around != str(os.getpid())
        assert around not in pids
        assert client.call(lambda: len(seen_by(client.app))) == 2
        assert all(has_ended(pid) for pid in pids)
        pids.add(around)

    def seen_by(app):
        import shop
        return shop.seen
"""


@pytest.mark.parametrize("options", [(), pytest.param(("-n2",), marks=pytest.mark.rest)])
@pytest.mark.parametrize(
    ("flag", "ini"), [("--isolated", ""), ("--isolated=test", ""), ("-q", "isoclient_isolated = test")]
)
def test_each_test_meets_a_fresh_process(suite: Suite, options: tuple[str, ...], flag: str, ini: str) -> None:
    suite(FRESH, flag, *options, ini=ini).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("flag", "ini", "count"),
    [
        ("--isolated=client", "", 1),
        ("--isolated=request", "", 4),
        pytest.param("-q", "isoclient_isolated = client", 1, marks=pytest.mark.rest),
        ("-q", "isoclient_isolated = request", 4),
        ("--isolated=client", "isoclient_isolated = request", 1),
        ("--isolated", "isoclient_isolated = request", 2),
    ],
)
def test_another_lifetime(suite: Suite, flag: str, ini: str, count: int) -> None:
    source = """
        from isoclient import TestClient
        from shop import app

        client = TestClient(app)
        pids = []

        def test_one():
            pids.extend(client.get("/").text for _ in range(2))

        def test_another():
            pids.extend(client.get("/").text for _ in range(2))
            print("\\npids:", len(set(pids)))
    """
    result = suite(source, "-s", flag, ini=ini)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"pids: {count}"])


def test_a_path_may_come_behind_the_flag(suite: Suite) -> None:
    suite("def test_nothing(): pass", "--isolated", "test_suite.py").assert_outcomes(passed=1)


def test_a_client_that_is_entered_keeps_its_process(suite: Suite) -> None:
    source = """
        import os
        import pytest
        from isoclient import TestClient
        from shop import app

        plain = TestClient(app)
        pids = []

        @pytest.fixture(scope="module")
        def entered():
            with TestClient(app) as client:
                yield client
                assert client.get("/").text == pids[0]
            assert not os.path.exists(f"/proc/{pids[0]}")

        @pytest.mark.parametrize("number", range(3))
        def test_uses_both(number, entered):
            pids.append(entered.get("/").text)
            assert len(set(pids)) == 1
            assert plain.get("/").text not in pids
    """
    suite(source, "--isolated").assert_outcomes(passed=3)


def test_one_whose_lifespan_another_client_runs_keeps_its_process(suite: Suite) -> None:
    source = """
        import pytest
        from ended import has_ended
        from starlette.testclient import TestClient
        from living import app

        plain = TestClient(app)
        pids = []

        def test_one():
            pids.extend(plain.get("/").text for _ in range(2))
            assert len(set(pids)) == 1

        def test_another():
            assert has_ended(pids[0])
            assert plain.get("/").text not in pids

        @pytest.fixture(scope="module")
        def entered():
            with TestClient(app) as client:
                yield client

        @pytest.mark.parametrize("number", range(3))
        def test_uses_it(number, entered):
            pids.append(entered.get("/").text)
            assert len(set(pids[2:])) == 1

        def test_after():
            assert plain.get("/").text
    """
    suite(source, "--isolated", "-Wignore").assert_outcomes(passed=6)


def test_few_processes_are_alive_at_once(suite: Suite) -> None:
    source = """
        import os
        import pytest
        from ended import has_ended
        from isoclient import TestClient
        from shop import app

        clients = [TestClient(app) for _ in range(10)]  # as of so many modules

        def children():
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                return file.read().split()

        @pytest.mark.parametrize("number", range(10))
        def test_uses_one(number):
            before = children()
            pid = clients[number].get("/").text
            assert [child for child in children() if child not in before] == [pid]
            assert all(has_ended(child) for child in before)
            assert len(before) <= 1
    """
    suite(source, "--isolated").assert_outcomes(passed=10)


TALKS = """
    import asyncio
    import logging
    import sys
    import warnings
    from isoclient import TestClient

    tasks = []

    async def app(scope, receive, send):
        if scope["path"] == "/last-words":
            tasks.append(asyncio.create_task(last_words()))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def last_words():
        try:
            await asyncio.Event().wait()
        finally:
            print("out at the end")
            print("err at the end", file=sys.stderr)
            logging.getLogger("shop").error("log at the end")
            END

    client = TestClient(app)

    def test_before():
        client.get("/")

    def test_has_last_words():
        print("called")
        client.get("/last-words")

    def test_after(capfd, caplog, recwarn):
        client.get("/")
        assert (*capfd.readouterr(), caplog.records, list(recwarn)) == ("", "", [], [])
"""


@pytest.mark.parametrize("options", [(), pytest.param(("-n2", "--dist=loadfile"), marks=pytest.mark.rest)])
def test_what_it_says_at_its_end_is_told_to_its_test(suite: Suite, options: tuple[str, ...]) -> None:
    result = suite(TALKS.replace("END", "pass"), "--isolated", "-rP", *options)
    result.assert_outcomes(passed=3)
    told = result.stdout.str().partition(" test_has_last_words ")[2].replace("\n", " ")
    for kind, text in (("stdout", "out at the end"), ("stderr", "err at the end"), ("log", "log at the end")):
        assert re.search(f"Captured {kind} teardown -+ [^-]*{text}", told), told
        assert result.stdout.str().count(text) == 1


@pytest.mark.parametrize("options", [(), pytest.param(("-n2", "--dist=loadfile"), marks=pytest.mark.rest)])
def test_a_crash_at_its_end_is_that_tests(suite: Suite, options: tuple[str, ...]) -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    result = suite(TALKS.replace("END", crash), "--isolated", *options)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_has_last_words*",
            "E *AppCrashed: the app *SIGSEGV*, while ending*",
            "*isoclient: test_suite:app (pid *)*",
        ]
    )


def test_the_lines_that_run_at_its_end_are_measured(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite(
        TALKS.replace("END", "print('measured')"), "--isolated", "--cov=test_suite", "--cov-report=term-missing"
    )
    result.assert_outcomes(passed=3)
    result.stdout.re_match_lines([r"test_suite.py +\d+ +0 +100%.*"])


def test_without_the_plugin_it_lives_as_long_as_its_client(suite: Suite) -> None:
    source = """
        from isoclient import TestClient
        from shop import app

        client = TestClient(app, isolated="test")
        pids = set()

        def test_one():
            pids.add(client.get("/").text)

        def test_another():
            pids.add(client.get("/").text)
            assert len(pids) == 1
    """
    suite(source, "-p", "no:isoclient").assert_outcomes(passed=2)
