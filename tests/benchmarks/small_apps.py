"""A suite of many small apps, each with a client in its module, which is written down here and run in several ways."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.harness import Effort, Row, Samples, alternate, run_process
from tests.benchmarks.peers import ROOT

_TESTS: Final = 3  # in each module
_PLUGINS: Final = [f"-pno:{name}" for name in ("cacheprovider", "faker", "randomly")]
_MODULE: Final = """
from client import TestClient
from fastapi import FastAPI

app = FastAPI()
orders = []


@app.get("/prices/{item}")
async def price(item: str) -> dict[str, int]:
    return {item: len(item)}


@app.post("/orders")
async def order(item: str) -> int:
    orders.append(item)
    return len(orders)


client = TestClient(app)


def test_price():
    assert client.get("/prices/tea").json() == {"tea": 3}


def test_order():
    assert client.post("/orders", params={"item": "tea"}).json() >= 1


def test_nothing():
    assert client.get("/nothing").status_code == 404
"""
_CONFTEST: Final = """
import asyncio, gc, os, sys
from pathlib import Path
import pytest

most = 0


async def call(app):
    async def receive():
        return {"type": "http.request"}

    async def send(message):
        assert message.get("status", 200) == 200

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/prices/tea"}
    await app({**scope, "raw_path": b"/", "query_string": b"", "root_path": "", "headers": []}, receive, send)


@pytest.fixture(autouse="BARE_FORKS" in os.environ)
def bare_fork(request):
    pid = os.fork()
    if pid == 0:
        try:
            gc.freeze()
            with asyncio.Runner() as runner:
                runner.run(call(request.module.app))
        finally:
            os._exit(0)
    yield
    os.waitpid(pid, 0)


def pytest_runtest_logfinish():
    global most
    most = max(most, len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def pytest_sessionfinish():
    Path(os.environ["MOST"]).write_text(str(most))
"""


class _Way(NamedTuple):
    client: str
    options: tuple[str, ...] = ()
    forks: bool = False


_WAYS: Final = {
    "Starlette": _Way("starlette.testclient"),
    "Starlette, with a bare fork for each test": _Way("starlette.testclient", forks=True),
    "Starlette, together": _Way("starlette.testclient", ("--isolated=together",)),
    "in-process": _Way("isoclient"),
    "isolated for the client": _Way("isoclient", ("--isolated=client",)),
    "isolated for each test": _Way("isoclient", ("--isolated=test",)),
}


class _Suite:
    """In a directory of its own.

    Attributes:
        tests: how many there are.
        most: how many processes the last run has had at most beside its own.
        memory: what the process of each way's last run has had at most, in megabytes.
    """

    def __init__(self, directory: Path, modules: int) -> None:
        self.tests = modules * _TESTS
        self.most = 0
        self.memory: dict[str, float] = {}
        self._directory = directory
        (directory / "conftest.py").write_text(_CONFTEST)
        for number in range(modules):
            (directory / f"test_app_{number}.py").write_text(_MODULE)

    def run(self, name: str) -> float:
        """Run it; return how long it takes, in seconds."""
        way, most = _WAYS[name], self._directory / "most"
        (self._directory / "client.py").write_text(f"from {way.client} import TestClient\n")
        command = [sys.executable, "-m", "pytest", "-q", "-Wignore", *_PLUGINS, *way.options]
        environment = {"PYTHONPATH": str(ROOT), "MOST": str(most)}
        if way.forks:
            environment["BARE_FORKS"] = "1"
        run = run_process(command, cwd=self._directory, env=environment)
        if run.exitcode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{run.output}")
        self.most, self.memory[name] = int(most.read_text()), run.megabytes
        return run.seconds


def measure(effort: Effort) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="isoclient-small-apps-") as directory:
        suite = _Suite(Path(directory), effort.calls(200))
        got = alternate({name: lambda name=name: suite.run(name) for name in _WAYS}, 3)  # type: ignore[misc]
        yield from _rows(got, suite.tests)
        suite.run("isolated for the client")
        yield Row("many small apps: most processes beside the run's", suite.most, 4)
        for name, memory in suite.memory.items():
            yield Row(f"many small apps, {name}: memory of the run's process", memory, unit=" MB")


def _rows(got: Samples, tests: int) -> Iterator[Row]:
    for ours, theirs, bar in (
        ("in-process", "Starlette", None),
        ("isolated for the client", "Starlette", 1.15),
        ("isolated for each test", "Starlette", None),
        ("isolated for each test", "Starlette, with a bare fork for each test", None),
        ("Starlette, together", "Starlette", 1.05),
    ):
        detail = got.milliseconds(ours, theirs)
        yield Row(f"many small apps, {ours} / {theirs}", got.ratio(ours, theirs), bar, detail=detail)
    added = got.median("isolated for each test") - got.median("in-process")
    bare = got.median("Starlette, with a bare fork for each test") - got.median("Starlette")
    detail = f"{added / tests * 1000:.1f} ms, {bare / tests * 1000:.1f} ms"
    yield Row("added by isolating each test / by a bare fork that calls its app once", added / bare, 1.1, detail=detail)
