"""What a fork of the test's process inherits and must not keep, or must: the harm that an app would take otherwise."""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import multiprocessing.forkserver
import multiprocessing.managers
import multiprocessing.util
import os
import random
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import multiprocess
import multiprocess.forkserver
import multiprocess.managers
import pytest

from isoclient.compat.python_exit import forget_exit_handlers
from isoclient.server.inherited import BeforeFork, settle
from isoclient.system.thread_frames import nothing_collected

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send

pytestmark = [pytest.mark.modes("fork"), pytest.mark.backends("asyncio")]
BOTH = pytest.mark.parametrize("package", [multiprocessing, multiprocess], ids=lambda package: package.__name__)


@pytest.fixture(autouse=True)
def _no_helpers_are_left() -> Iterator[None]:
    """What multiprocessing starts once for all children stays as long as its process."""
    yield
    for package in (multiprocessing, multiprocess):
        sys.modules[f"{package.__name__}.forkserver"]._forkserver._stop()
        sys.modules[f"{package.__name__}.resource_tracker"]._resource_tracker._stop()


async def respond(send: Send, text: object = "") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(text).encode()})


def answering(answer: Callable[[], object]) -> Any:
    """An app that answers what this returns, on its event loop."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, answer())

    return app


# -- objects

in_each_fork: list[Callable[[], object]] = []
os.register_at_fork(after_in_child=lambda: [hook() for hook in in_each_fork])


def test_the_objects_of_the_test_are_not_collected_there(make_client: MakeClient) -> None:
    """Not even while the hooks of others run, which may take memory enough for the garbage collector to begin."""

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            os.write(collected, f"{os.getpid()} ".encode())

    told, collected = os.pipe()
    taken: list[object] = []
    in_each_fork.append(lambda: taken.extend([] for _ in range(50_000)))
    thresholds = gc.get_threshold()
    gc.collect()
    gc.set_threshold(30_000, *thresholds[1:])
    try:
        Cycle()
        client = make_client(answering(lambda: f"{gc.isenabled()} {len(taken)}"))
        assert client.get("/").text == "True 50000"
        gc.collect()
        assert os.read(told, 1000).split() == [str(os.getpid()).encode()]
    finally:
        gc.set_threshold(*thresholds)
        in_each_fork.clear()
        os.close(told)
        os.close(collected)


# -- threads, and handlers for the exit


def in_an_executor(work: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(60)


def by_to_thread(work: Callable[[], object]) -> None:
    asyncio.run(asyncio.to_thread(work))


@pytest.mark.parametrize("first_use", [in_an_executor, by_to_thread])
def test_the_first_use_in_a_worker_of_a_pool(
    make_client: MakeClient,
    first_use: Callable[[Callable[[], object]], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    def answer() -> None:
        atexit.register(print, "exit handler")
        weakref.finalize(print, print, "finalizer")
        ThreadPoolExecutor(1).submit(print, "from a pool of the app's")

    client = make_client(answering(answer))
    first_use(lambda: client.get("/"))
    client.close()
    assert capfd.readouterr() == ("from a pool of the app's\nfinalizer\nexit handler\n", "")


def test_what_the_test_has_for_the_end_of_its_threads_is_not_the_apps(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "_threading_atexits", [*threading._threading_atexits])  # type: ignore[attr-defined]
    threading._register_atexit(print, "the test's")  # type: ignore[attr-defined]

    def answer() -> None:
        threading._register_atexit(print, "the app's")  # type: ignore[attr-defined]

    client = make_client(answering(answer))
    client.get("/")
    client.close()
    assert capfd.readouterr() == ("the app's\n", "")


def test_a_thread_pool_of_the_tests_has_threads_in_the_app(make_client: MakeClient) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(os.getpid).result(60)
        client = make_client(answering(lambda: pool.submit(os.getpid).result(10)))
        assert int(client.get("/").text) == client.pid
        # From a thread of the very pool, which is the main thread there.
        another = make_client(answering(lambda: pool.submit(os.getpid).result(10)))
        assert int(pool.submit(another.get, "/").result(60).text) == another.pid
        assert pool.submit(os.getpid).result(60) == os.getpid()


def test_a_process_pool_of_the_tests_says_so_in_the_app(make_client: MakeClient) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(os.getppid).result(60) == os.getpid()

        def answer() -> str:
            with pytest.raises(BrokenProcessPool) as caught:
                pool.submit(os.getppid).result(10)
            return str(caught.value)

        assert "belongs to the test's process" in make_client(answering(answer)).get("/").text
        assert pool.submit(os.getppid).result(60) == os.getpid()


# -- multiprocessing, and its twin


@BOTH
def test_a_queue_that_the_test_has_used(make_client: MakeClient, package: Any) -> None:
    """Its feeder is a thread of the test's; and what is on its way must be gone out before the app has ended."""
    queue = package.get_context("fork").Queue()
    try:
        queue.put("the test's")
        assert queue.get(timeout=30) == "the test's"
        client = make_client(answering(lambda: queue.put("the app's" * 1_000)))
        client.get("/")
        client.close()
        assert queue.get(timeout=30) == "the app's" * 1_000
    finally:
        queue.close()
        queue.join_thread()


@BOTH
def test_a_proxy_has_a_connection_of_its_own(make_client: MakeClient, package: Any) -> None:
    """On one connection, the test and the app would get the answers to each other's questions."""
    manager = package.managers.SyncManager(ctx=package.get_context("spawn"))
    manager.start()
    try:
        shared = manager.dict()
        shared["connected"] = True
        connection = shared._tls.connection

        def answer() -> list[object]:
            shared["app"] = os.getpid()
            return [shared._tls.connection is connection, multiprocessing.current_process().authkey is not None]

        client = make_client(answering(answer))
        assert client.get("/").text == "[False, True]"
        assert shared["app"] == client.pid
    finally:
        manager.shutdown()


@BOTH
def test_the_tests_children_are_not_the_apps(make_client: MakeClient, package: Any) -> None:
    def answer() -> list[object]:
        own = package.get_context("fork").Process(target=os.getpid)
        own.start()
        own.join()
        for child in package.active_children():
            child.terminate()
        me, parent = package.current_process(), package.parent_process()
        return [own.exitcode, me.name, me.pid == os.getpid(), me.daemon, parent.pid, parent.name, parent.is_alive()]

    child = package.get_context("fork").Process(target=signal.pause)
    child.start()
    try:
        found = make_client(answering(answer)).get("/").text
        assert found == f"[0, 'isoclient-app', True, False, {os.getpid()}, 'MainProcess', True]"
        assert child.is_alive()
    finally:
        child.terminate()
        child.join(10)
        child.close()


@BOTH
def test_children_in_a_process_that_may_have_none(make_client: MakeClient, package: Any) -> None:
    """The test may run in a daemonic process, of which the app's is no part."""

    def answer() -> int:
        own = package.get_context("fork").Process(target=os.getpid)
        own.start()
        own.join()
        return int(own.exitcode)

    config = package.process._current_process._config
    config["daemon"] = True
    try:
        assert make_client(answering(answer)).get("/").text == "0"
    finally:
        del config["daemon"]


@BOTH
def test_a_fork_server_of_the_tests_is_not_the_apps(make_client: MakeClient, package: Any) -> None:
    """It waits for it as for a child, which it is not."""

    def run() -> int:
        own = package.get_context("forkserver").Process(target=os.getpid)
        own.start()
        own.join()
        return int(own.exitcode)

    package.forkserver.set_forkserver_preload([])
    assert run() == 0
    assert make_client(answering(run)).get("/").text == "0"
    assert run() == 0


@BOTH
@pytest.mark.parametrize("module", ["resource_tracker", "forkserver"])
def test_a_lock_of_multiprocessing_that_is_held_at_the_fork(
    make_client: MakeClient, package: ModuleType, module: str
) -> None:
    holder = getattr(getattr(package, module), f"_{module}")

    def answer() -> bool:
        return bool(holder._lock.acquire(timeout=10))

    client = make_client(answering(answer))
    with another_thread_holding(holder._lock):
        assert client.get("/").text == "True"


class another_thread_holding:
    def __init__(self, lock: Any) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._lock = lock

    def __enter__(self) -> None:
        self._pool.submit(self._lock.acquire).result(60)

    def __exit__(self, *exc_info: object) -> None:
        self._pool.submit(self._lock.release).result(60)
        self._pool.shutdown()


# -- chance


def test_what_the_test_has_seeded_is_what_the_app_draws(make_client: MakeClient) -> None:
    client = make_client(answering(lambda: (random.random(), random.gauss(0, 1))))
    random.seed(20)
    random.gauss(0, 1)  # which draws two, and keeps one
    state = random.getstate()
    there = client.get("/").text
    assert random.getstate() == state
    assert there == str((random.random(), random.gauss(0, 1)))


def test_what_each_request_draws(make_client: MakeClient) -> None:
    """Each copy begins with the test's state as it is then."""
    client = make_client(answering(random.random), isolated="request")
    random.seed(20)
    first = client.get("/").text
    assert client.get("/").text == first == str(random.random())
    assert client.get("/").text == str(random.random()) != first


# -- modules


def test_a_module_that_another_thread_is_importing(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_half_imported.py").write_text(
        "import os, threading\n"
        "pid = os.getpid()\n"
        "if hasattr(threading, 'gates_of_the_test'):\n"
        "    reached, may_go = threading.gates_of_the_test\n"
        "    reached.set()\n"
        "    may_go.wait(60)\n"
        "whole = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    gates = reached, may_go = threading.Event(), threading.Event()

    def imported() -> Any:
        return importlib.import_module("shop_half_imported")

    def answer() -> list[bool]:
        del threading.gates_of_the_test  # type: ignore[attr-defined]
        return [imported().whole, imported().pid == os.getpid()]

    monkeypatch.setattr(threading, "gates_of_the_test", gates, raising=False)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(imported)
        assert reached.wait(60)
        try:
            assert make_client(answering(answer)).get("/").text == "[True, True]"
        finally:
            may_go.set()
        assert future.result(60).pid == os.getpid()
    del sys.modules["shop_half_imported"]


def test_a_module_at_whose_top_a_client_is_used(tmp_path: Path) -> None:
    """What an endpoint imports of it, in a thread, is what there is by then."""
    (tmp_path / "shop_at_the_top.py").write_text(
        "import threading\n"
        "from isoclient import TestClient\n"
        "async def app(scope, receive, send):\n"
        "    found = []\n"
        "    def endpoint():\n"
        "        from shop_at_the_top import above\n"
        "        found.append(above)\n"
        "    thread = threading.Thread(target=endpoint, daemon=True)\n"
        "    thread.start()\n"
        "    thread.join(10)\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': repr(found).encode()})\n"
        "above = 'above'\n"
        "with TestClient(app, isolated=True) as client:\n"
        "    print(client.get('/').text)\n"
    )
    command = [sys.executable, "-c", "import shop_at_the_top"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("['above']\n", "")


def test_a_thread_that_looks_at_frames_meanwhile_leaves_the_collector_of_the_app_on() -> None:
    has_begun, made = threading.Event(), []

    def make() -> None:
        has_begun.set()
        made.append(BeforeFork())

    with nothing_collected():
        thread = threading.Thread(target=make)
        thread.start()
        has_begun.wait(10)
        thread.join(0.1)  # it waits for the end of the look
    thread.join(10)
    assert [before.collects for before in made] == [True]


def test_where_exit_handlers_cannot_be_forgotten_none_is_there_twice() -> None:
    before = BeforeFork()
    before.to_do.remove(forget_exit_handlers)
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            count = atexit._ncallbacks()  # there: coverage.py has one more in each fork
            settle(before)
            os.write(writing, str(atexit._ncallbacks() - count).encode())
        finally:
            os._exit(0)
    try:
        os.waitpid(pid, 0)
        assert os.read(reading, 10) == b"0"
    finally:
        os.close(reading)
        os.close(writing)
