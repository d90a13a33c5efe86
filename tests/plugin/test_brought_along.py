"""What a fork has brought along that is trouble: connections that two processes share, and threads that it lacks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

HEAD = """
    import asyncio
    import queue
    import socket
    import threading

    import httpx
    import pytest
    from starlette.testclient import TestClient as OfStarlette

    from isoclient import TestClient
    from isoclient.process.app_process import AppProcess

    AppProcess.grace = 0.3  # for those that wait for a thread which is not there

    async def app(scope, receive, send):
        if scope["path"] == "/ask":
            asked.put(1)
            await asyncio.to_thread(answers.get)
        if scope["path"] == "/block":
            answers.get()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"well"})

    def get_by_httpx(path):
        async def get():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.get(path)
        asyncio.run(get())

    def get_by_ours(path):
        held.append(TestClient(app))
        held[-1].get(path)

    held = []
    GETTERS = [get_by_ours, OfStarlette(app).get, get_by_httpx]
    asked, answers = queue.Queue(), queue.Queue()
"""
CONNECTED = """
    class Pool:
        def __init__(self, address):
            self.idle = [socket.create_connection(address)]

    server = socket.create_server(("127.0.0.1", 0))
    pool = Pool(server.getsockname())
    accepted, _ = server.accept()
    unix = socket.socketpair()

    @pytest.mark.parametrize("get", GETTERS)
    def test_it(get):
        print("PORT", server.getsockname()[1], pool.idle[0].getsockname()[1])
        get("/")
        assert not "well"

    def test_closed_there():
        import isoclient
        isoclient.at_start(lambda: (pool.idle[0].close(), accepted.close()))
        get_by_ours("/")
        assert not "well"
"""
SEE = 'See "What a copy can\'t share", docs/copies.md.'


def test_connections_that_both_have(suite: Suite) -> None:
    result = suite(HEAD + CONNECTED, "--isolated", "-Wignore")
    result.assert_outcomes(failed=4)
    ports = next(line.split()[1:] for line in result.stdout.lines if line.startswith("PORT"))
    lines = [line for line in result.stdout.lines if line.startswith(("It has", "See"))]
    both = [
        f"It has one connection together with the test, from before the fork: to 127.0.0.1:{port} (test_suite.{name})."
        for port, name in zip(ports, ("pool", "accepted"), strict=True)
    ]
    assert sorted(lines) == sorted([*both, SEE] * 3)


KERNEL = """
    import multiprocessing
    from multiprocessing import shared_memory

    class Jobs:
        def __init__(self):
            self.lock = multiprocessing.Lock()

    lock, jobs, queue_of_jobs = multiprocessing.RLock(), Jobs(), multiprocessing.Queue()
    number, memory = multiprocessing.Value("i"), shared_memory.SharedMemory(create=True, size=1)
    context = multiprocessing.get_context("fork")
    pool, manager = context.Pool(1), context.Manager()
    closed = context.Process(target=int)
    closed.start()
    closed.join()
    closed.close()
    over = context.Pool(1)
    over.terminate()
    over.join()
    over.closed = closed

    @pytest.fixture(scope="module", autouse=True)
    def end():
        yield
        memory.close()
        memory.unlink()
        pool.terminate()
        pool.join()
        manager.shutdown()

    @pytest.mark.parametrize("names", [
        ("lock", "jobs", "queue_of_jobs"), ("number", "memory", "pool", "manager"), ("over",), ()
    ])
    def test_it(names, monkeypatch):
        for name in ("lock", "jobs", "queue_of_jobs", "number", "memory", "pool", "manager", "over"):
            if name not in names:
                monkeypatch.delitem(globals(), name)
        client = TestClient(app)
        client.get("/")
        globals()["later"] = multiprocessing.Lock()
        assert not "well"
"""


def test_objects_of_multiprocessing_that_both_have(suite: Suite) -> None:
    result = suite(HEAD + KERNEL, "--isolated", "-Wignore")
    result.assert_outcomes(failed=4)
    begin = "It has objects of multiprocessing together with the test, from before the fork: "
    told = [line for line in result.stdout.lines if line.startswith("It has")]
    assert [sorted(line.removeprefix(begin).removesuffix(".").split(", ")) for line in told] == [
        ["test_suite.jobs (Lock)", "test_suite.lock (RLock)", "test_suite.queue_of_jobs (Queue)"],
        [
            "test_suite.manager (SyncManager)",
            "test_suite.memory (SharedMemory)",
            "test_suite.number (Synchronized)",
            "test_suite.pool (Pool)",
        ],
        ["test_suite.over (Pool)"],
    ]


LACKING = """
    def answer():
        while asked.get():
            answers.put(1)

    class Mailer(threading.Thread):
        def run(self):
            answer()

    threading.Thread(target=answer, name="answering", daemon=True).start()
    Mailer(name="mailing", daemon=True).start()

    @pytest.mark.parametrize("get", GETTERS)
    def test_it(get):
        get("/")
        assert not "well"

    @pytest.mark.parametrize("path", ["/ask", "/block"])
    def test_that_waits(path):
        TestClient(app, timeout=0.5).get(path)

    @pytest.mark.parametrize("path", ["/block"])
    def test_in_a_fresh_interpreter(path):
        client = TestClient("shop:app", isolated=True, start_method="spawn")
        client.get("/")
        assert not "well"
"""


def test_threads_that_it_lacks(suite: Suite) -> None:
    result = suite(HEAD + LACKING, "--isolated", "-Wignore")
    result.assert_outcomes(failed=6)
    threads = "'answering' (test_suite.answer), 'mailing' (test_suite.Mailer.run)"
    lines = [line for line in result.stdout.lines if line.startswith(("It lacks", "See"))]
    assert lines == [f"It lacks threads that ran here when it was forked: {threads}.", SEE] * 5
    waits = [line.removeprefix("E").strip() for line in result.stdout.lines if "it waits for another thread" in line]
    spots = [
        next(number for number, line in enumerate((HEAD + LACKING).splitlines()) if text in line)
        for text in ("to_thread(answers", "            answers.get()")
    ]
    assert waits == [
        f"At test_suite.py:{spot} in app it waits for another thread, and a fork has none of those that ran in the "
        f"test's process: {threads}. If it waits for the work of one, that is for ever: let the app start its own."
        for spot in spots
    ]


def test_nothing_is_said_where_there_is_nothing_of_that(suite: Suite) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(1)
        pool.submit(int).result()
        pair = socket.socketpair()
        listening = socket.create_server(("127.0.0.1", 0))

        @pytest.mark.parametrize("get", GETTERS)
        def test_it(get):
            get("/")
            assert not "well"
    """
    result = suite(HEAD.replace("\n    ", "\n        ") + source, "--isolated", "-Wignore", "-n", "1")
    result.assert_outcomes(failed=3)
    assert not [line for line in result.stdout.lines if line.startswith(("It has", "It lacks", "See"))]
