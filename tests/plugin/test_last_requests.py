"""What a failed test shows of the requests that its apps have had, and of what they did when they were given up."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

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
        time.sleep(0.5)

    async def app(scope, receive, send):
        if scope["path"] == "/waits":
            asyncio.get_running_loop().call_later(0.01, tell)
            await asyncio.sleep(30)
        if scope["path"] == "/blocks":
            tell()
            time.sleep(0.5)
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
        "blocks": f"{line_with(ENDED, 'time.sleep(0.5)', 1)} in app",
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
