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


ANSWERS = """
    import asyncio

    import httpx
    import pytest
    from starlette.testclient import TestClient as OfStarlette

    from isoclient import TestClient

    async def app(scope, receive, send):
        if scope["path"] == "/raise":
            raise LookupError("no such book")
        kind = {"/json": b"application/json", "/png": b"image/png"}.get(scope["path"], b"text/plain")
        body = {"/png": b"PNG", "/json": b'{"tea": 2}', "/long": b"long " * 500}.get(scope["path"], b"well")
        status = 404 if scope["path"] == "/none" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        for piece in (body[:3], body[3:]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    def get_by_httpx(path):
        async def get():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.get(path)
        asyncio.run(get())

    KINDS = [TestClient(app).get, OfStarlette(app).get, get_by_httpx]

    @pytest.mark.parametrize("get", KINDS, ids=["ours", "starlette", "httpx"])
    def test_it(get):
        for path in ("/zero", "/none?x=1", "/json", "/png", "/long"):
            get(path)
        with pytest.raises(LookupError):
            get("/raise")
        assert 0

    def test_the_next(get=KINDS[0]):
        get("/only")
        assert 0
"""


@pytest.mark.parametrize(
    "options", [("--isolated",), pytest.param(("--isolated=client", "-n", "1"), marks=pytest.mark.rest)]
)
def test_the_last_answers(suite: Suite, options: tuple[str, ...]) -> None:
    result = suite(ANSWERS, *options)
    result.assert_outcomes(failed=4)
    of_one = [
        "Its last requests:",
        "    GET /none?x=1: 404 Not Found, 'well'",
        """    GET /json: 200 OK, '{"tea": 2}'""",
        "    GET /png: 200 OK, image/png",
        f"    GET /long: 200 OK, '{'long ' * 40}'...",
        "    GET /raise: raised LookupError",
    ]
    lines = [line for line in result.stdout.lines if line.startswith(("Its last", "    GET "))]
    assert lines == [*of_one * 3, "Its last requests:", "    GET /only: 200 OK, 'well'"]


ENDED = """
    import asyncio
    import os
    import signal
    import sys
    import threading
    import time

    import httpx
    import pytest
    from starlette.testclient import TestClient as OfStarlette

    from isoclient import TestClient

    parent = os.getpid()

    def tell():
        os.kill(parent, SIGNAL)

    def in_a_thread():
        tell()
        time.sleep(1)

    async def app(scope, receive, send):
        if scope["path"] == "/waits":
            asyncio.get_running_loop().call_later(0.01, tell)
            await asyncio.sleep(30)
        if scope["path"] == "/blocks":
            tell()
            time.sleep(1)
        if scope["path"] == "/thread":
            await asyncio.to_thread(in_a_thread)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"well"})

    def get_by_httpx(path):
        async def get():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.get(path)
        asyncio.run(get())

    def get_by_starlettes(path):
        OfStarlette(app).get(path)

    def get_by_ours(path):
        TestClient(app).get(path)

    def time_is_up(*args):
        pytest.fail("the time is up")

    signal.signal(signal.SIGALRM, time_is_up)

    @pytest.mark.parametrize("path", ["/waits", "/blocks", "/thread"])
    @pytest.mark.parametrize("get", [get_by_ours, get_by_starlettes, get_by_httpx])
    def test_it(get, path):
        get(path)
"""


def line_with(source: str, text: str, occurrence: int = 0) -> int:
    return [number for number, line in enumerate(source.splitlines()) if text in line][occurrence]


def test_where_the_app_was_when_a_time_limit_ended_the_test(suite: Suite) -> None:
    result = suite(ENDED.replace("SIGNAL", "signal.SIGALRM"), "--isolated", "-Wignore")
    result.assert_outcomes(failed=9)
    found = [re.sub(r"\d+\.\d s", "0.0 s", line) for line in result.stdout.lines if line.startswith("    GET ")]
    wanted = {
        "waits": f"{line_with(ENDED, 'sleep(30)')} in app",
        "blocks": f"{line_with(ENDED, 'time.sleep(1)', 1)} in app",
        "thread": f"{line_with(ENDED, 'to_thread')} in app",
    }
    # Those who wait in an event loop are cancelled, and are not told by whom.
    assert found == [
        f"    GET /{path}: {ended} after 0.0 s, when the app was at test_suite.py:{where}"
        for ended in ("ended from outside", "cancelled", "cancelled")
        for path, where in wanted.items()
    ]
    assert "If it fails only" not in result.stdout.str()


@pytest.mark.parametrize("client", ["ours", pytest.param("starlettes", marks=pytest.mark.rest), "httpx"])
def test_where_the_app_was_at_ctrl_c(suite: Suite, client: str) -> None:
    result = suite(ENDED.replace("SIGNAL", "signal.SIGINT"), "--isolated", "-Wignore", "-k", f"waits and {client}")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*= isoclient: waited for when interrupted =*",
            f"GET /waits: {'ended from outside' if client == 'ours' else 'cancelled'} after *, when the app was at "
            "test_suite.py:"
            f"{line_with(ENDED, 'sleep(30)')} in app",
        ]
    )


LEFT = """
    import asyncio

    import httpx
    import pytest
    from starlette.testclient import TestClient as OfStarlette

    import shop
    from isoclient import TestClient

    async def app(scope, receive, send):
        shop.seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"well", "more_body": True})
        if scope["path"] == "/waits":
            await asyncio.sleep(30)
        await send({"type": "http.response.body"})

    async def in_flight():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            task = asyncio.create_task(client.get("/waits"))
            for _ in range(2):  # the first may overtake it, and the second comes behind it
                await client.get("/")
            raise AssertionError

    def by_httpx():
        asyncio.run(in_flight())

    def by_starlettes():
        OfStarlette(app).get("/")
        raise AssertionError

    def by_ours():
        TestClient(app).get("/")
        pytest.fail("badly")

    def by_isolated():
        client = TestClient(app, isolated=True)
        client.get("/")
        raise KeyError

    def by_one_of_two():
        by_ours_that_differs(TestClient(app), TestClient(app))

    def by_ours_that_differs(first, second):
        first.get("/")
        second.get("/")
        assert shop.seen == ["/"]

    def by_crash():
        TestClient(shop.app).get("/segv")

    @pytest.mark.parametrize("fail", [
        by_httpx, by_starlettes, by_ours, by_isolated, by_one_of_two, by_crash
    ])
    def test_it(fail):
        fail()
"""


def test_what_to_try_where_nothing_else_says_why(suite: Suite) -> None:
    result = suite(LEFT, "--isolated", "-Wignore")
    result.assert_outcomes(failed=6)
    found: dict[str, list[str]] = {}
    for line in result.stdout.lines:
        if test := re.fullmatch(r"_+ test_it\[by_(\w+)\] _+", line):
            told = found.setdefault(test[1], [])
        elif line.startswith(("If it", "    GET /waits")):
            told.append(re.sub(r"\d+\.\d s", "0.0 s", line))
    see = 'shares memory; see "What a copy can\'t share", docs/copies.md.'
    together = "If it fails only with --isolated: pytest --isolated=together"
    assert found == {
        "httpx": [
            "    GET /waits: 200 OK, 'well', then cancelled after 0.0 s, when the app was at test_suite.py:"
            f"{line_with(LEFT, 'sleep(30)')} in app",
            f"{together} 'test_suite.py::test_it[by_httpx]' {see}",
        ],
        "starlettes": [f"{together} 'test_suite.py::test_it[by_starlettes]' {see}"],
        "ours": [f"{together} 'test_suite.py::test_it[by_ours]' {see}"],
        "isolated": [f"If it fails only isolated: isolated=False for its client {see}"],
        "one_of_two": [],
        "crash": [],
    }


def test_a_request_that_another_thread_waits_for_is_under_way(suite: Suite) -> None:
    source = """
        import threading
        import pytest
        from isoclient import TestClient

        async def app(scope, receive, send):
            if scope["path"] == "/waits":
                await receive()
                await receive()

        def test_it():
            client = TestClient(app, isolated=True)
            assert client.pid
            thread = threading.Thread(target=lambda: pytest.raises(Exception, client.get, "/waits"))
            thread.start()
            while not "waits" in client.call(tasks):
                pass
            assert 0

        def tasks():
            import asyncio
            return str([task.get_coro().cr_await for task in asyncio.all_tasks()]) and "waits"
    """
    result = suite(source)
    result.stdout.fnmatch_lines(["    GET /waits: under way for * s"])


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
