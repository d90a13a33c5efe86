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
    assert runs.startswith(
        "It runs. It is a copy of this process as of its first use, in test_suite.py::test_before, and lives as long "
        "as its client.\nIts last requests:\n    GET /runs: 200 OK, '"
    )
    assert "now at /runs" in runs
    assert "/other" not in runs
    [crashes] = found["test_crashes"]
    assert re.match(
        r"It called os\.kill\(os\.getpid\(\), signal\.SIGSEGV\) at shop\.py:\d+ in app\. It was a copy of this process "
        r"as of its first use, in test_suite\.py::test_before\.\n"
        r"Its last requests:\n    GET /segv: raised AppCrashed\n",
        crashes,
    )
    assert "Its stack" not in crashes  # which the error has told
    assert "now at /segv" not in crashes
    first, second = found["test_crashes_and_goes_on"]
    assert "Its stack:\n    Fatal Python error: Segmentation fault\n" in first
    assert "now at /segv" in first
    assert re.search(r'shop\.py", line \d+ in app', first)
    assert first.startswith("It called os.kill(os.getpid(), signal.SIGSEGV) at shop.py:")
    assert second.startswith("It runs. It is a copy of this process as of its first use, in this test, and lives as")
    [hangs] = found["test_hangs"]
    assert hangs.startswith("It was ended by force, for it did not answer. It was a copy of this process as of its ")
    assert "\nIts last requests:\n    GET /hang: raised AppTimeout\n" in hangs
    assert "Its stack" not in hangs
    assert found["test_in_process"] == []
    [closed] = found["test_closed"]
    assert closed.startswith(
        "It exited with code 0. It was a copy of this process as of its first use, in this test.\n"
    )


DEEP_DOWN = """
    import os
    import signal
    import threading
    import time

    from isoclient import TestClient

    def dig(depth, end):
        dig(depth - 1, end) if depth else end()

    async def app(scope, receive, send):
        hole = threading.Event()
        for _ in range(3):
            threading.Thread(target=dig, args=(150, hole.wait), daemon=True).start()
        dig(150, CRASH if scope["path"] == "/crash" else HANG)

    def CRASH():
        os.kill(os.getpid(), signal.SIGABRT)

    def HANG():
        time.sleep(30)

    def test_crashes():
        TestClient(app, isolated=True).get("/crash")

    def test_hangs():
        TestClient(app, isolated=True).get("/hang", timeout=0.2)
"""


def test_a_stack_is_whole_however_long_it_is(suite: Suite) -> None:
    result = suite(DEEP_DOWN)
    assert "E       Fatal Python error: Aborted" in result.stdout.lines
    for line in "in CRASH", "in HANG":
        # In each of the two errors each thread is told, and is not told again below it.
        assert sum(each.endswith(line) and each.startswith("E         File ") for each in result.stdout.lines) == 1
    assert not [line for line in result.stdout.lines if line.startswith("    Current thread")]
    assert sum(line.startswith("E       Thread 0x") for line in result.stdout.lines) == 6


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
    result.stdout.fnmatch_lines(["*isoclient: shop:app (pid *", "It called os.kill(*SIGSEGV) at *"])


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
    result.stdout.fnmatch_lines(["It exited with code 0. *", "    now at /one", "It called os.kill(*SIGSEGV) at *"])


WHENCE = """
    import pytest
    from isoclient import TestClient
    from shop import app

    @pytest.fixture(scope="module")
    def of_module():
        return TestClient(app, isolated="client")

    @pytest.fixture(scope="module")
    def entered():
        from living import app
        with TestClient(app, isolated="test") as client:
            yield client

    early = TestClient(app, isolated="client")
    early.get("/early")

    def test_first(of_module, entered):
        of_module.get("/")
        entered.get("/")

    def test_of_module(of_module):
        of_module.get("/")
        assert 0

    def test_entered(entered):
        entered.get("/")
        assert 0

    def test_before_any():
        early.get("/")
        assert 0

    @pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
    def test_for_a_test(start_method):
        client = TestClient("shop:app", isolated="test", start_method=start_method)
        client.get("/")
        assert 0
"""


def test_since_when_it_is_there_and_for_how_long(suite: Suite) -> None:
    lines = suite(WHENCE).stdout.lines
    copy, fresh = "It runs. It is a copy of this process", "It runs. It is a fresh interpreter"
    assert [line for line in lines if line.startswith("It ")] == [
        f"{copy} as of its first use, in test_suite.py::test_first, and lives as long as its client.",
        f"{copy} as of its first use, in test_suite.py::test_first, and lives until its client is left, for that runs "
        "its lifespan.",
        f"{copy} as of its first use, before any test, and lives as long as its client.",
        f"{copy} as of its first use, in this test, and lives until the end of this test.",
        *[f"{fresh} as of its first use, in this test, and lives until the end of this test."] * 2,
    ]


LIFESPANS = """
    import asyncio
    import os
    from contextlib import asynccontextmanager

    import httpx
    import pytest
    from fastapi import APIRouter, FastAPI
    from starlette.applications import Starlette
    from starlette.testclient import TestClient as OfStarlette

    from isoclient import TestClient

    @asynccontextmanager
    async def lifespan(app):
        yield

    with_it = FastAPI(lifespan=lifespan)
    without = FastAPI()
    without.include_router(APIRouter())
    including = FastAPI()
    including.include_router(APIRouter(lifespan=lifespan))
    of_starlette = Starlette(lifespan=lifespan)

    @with_it.get("/crash")
    async def crash():
        os._exit(3)
    plain = Starlette()

    def by_httpx(app):
        class Client:
            def get(self, path):
                async def get():
                    transport = httpx.ASGITransport(app)
                    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                        await client.get(path)
                asyncio.run(get())
        return Client()

    CLIENTS = [TestClient, OfStarlette, by_httpx]

    @pytest.mark.parametrize("make", CLIENTS)
    @pytest.mark.parametrize("app", [with_it, including, of_starlette], ids=["with", "including", "starlette"])
    def test_forgotten(app, make):
        make(app).get("/")
        assert 0

    @pytest.mark.parametrize("make", CLIENTS)
    @pytest.mark.parametrize("app", [without, plain], ids=["without", "plain"])
    def test_has_none(app, make):
        make(app).get("/")
        assert 0

    def test_crashes():
        TestClient(with_it).get("/crash")

    @pytest.mark.parametrize("make", CLIENTS[:2])
    def test_entered(make):
        with make(with_it) as client:
            client.get("/")
            assert 0
"""


def test_a_lifespan_that_nobody_has_run_is_told(suite: Suite) -> None:
    result = suite(LIFESPANS, "--isolated", "-Wignore")
    result.assert_outcomes(failed=18)
    told: dict[str, int] = {}
    sections = 0
    for line in result.stdout.lines:
        if test := re.fullmatch(r"_+ (test_\w+)\[.*\] _+", line):
            name = test[1]
        sections += line.startswith(("It runs. ", "It exited"))
        if line.startswith("Its lifespan"):
            assert line.startswith('Its lifespan has not run: a TestClient runs it in "with client:", and httpx.ASGI')
            told[name] = told.get(name, 0) + 1
    assert (told, sections) == ({"test_forgotten": 9}, 17)  # and not of the one that has crashed


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
