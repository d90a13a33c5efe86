"""Real runs of pytest, each in a process of its own, on small suites that a test writes down."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter

import pytest

from tests.prepared import Prepared

pytest_plugins = ["pytester"]
collect_ignore = ["failing", "kinds"]

# A run has those plugins alone that it uses: what else is installed takes longer to load than such a suite to run.
# By their modules, for a worker of xdist knows no other names.
BY_OPTION = {"--cov": "pytest_cov.plugin", "-n": "xdist.plugin"}
BY_FIXTURE = {"mocker": "pytest_mock"}

APP = """
import os
import signal
import sys
import time

seen = []

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"]
    seen.append(path)
    print("now at", path, file=sys.stderr)
    if path == "/segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "/hang":
        time.sleep(60)
    body = os.environ.get("PYTEST_XDIST_WORKER", "none") if path == "/worker" else str(os.getpid())
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body.encode()})
"""

LIVING = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


ENDED = """
import time

def has_ended(pid, seconds=10):
    # Or does so within a moment: the system takes one to take a process apart, and nobody waits for that between tests.
    end = time.monotonic() + seconds
    while True:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
"""


Suite = Callable[..., pytest.RunResult]
RunHere = Callable[..., pytest.RunResult]


@pytest.fixture
def run_here(pytester: pytest.Pytester, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> RunHere:
    """Runs pytest in the directory of the test, as ``pytester.runpytest_subprocess`` does.

    ``fresh=True`` is for tests of what is imported, and when: the interpreter of the run has imported nothing yet.
    """
    for name in list(os.environ):
        if name.startswith("PYTEST_"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*options: str, fresh: bool = False, timeout: float = 60) -> pytest.RunResult:
        if fresh:
            return pytester.runpytest_subprocess(*options, timeout=timeout)
        environment = {**os.environ, "PYTHONPATH": str(pytester.path), "HOME": str(pytester.path)}
        basetemp = f"--basetemp={mkdtemp(prefix='runpytest-', dir=pytester.path)}"
        begun = perf_counter()
        done = prepared.run([basetemp, *options], cwd=pytester.path, env=environment, timeout=timeout)
        print(done.out)
        print(done.err, file=sys.stderr)
        return pytest.RunResult(done.code, done.out.splitlines(), done.err.splitlines(), perf_counter() - begun)

    return run


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, run_here: RunHere) -> Suite:
    """Writes a suite and runs it: ``suite(test_module, *options)``.

    Its app is in ``shop.py``, and in ``living.py`` one with a lifespan; ``ended.py`` tells whether a process has ended.
    """
    pytester.makepyfile(shop=APP, living=LIVING, ended=ENDED)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\nfilterwarnings =\n    error\n")

    def run(source: str, *options: str, ini: str = "", fresh: bool = False) -> pytest.RunResult:
        if ini:
            file = Path(pytester.path / "tox.ini")
            file.write_text(f"{file.read_text()}\n{ini}\n")
        pytester.makepyfile(test_suite=source)
        with monkeypatch.context() as patch:
            patch.setenv("PYTEST_PLUGINS", ",".join(_plugins(source, options)))
            return run_here(*options, fresh=fresh)

    return run


def _plugins(source: str, options: Collection[str]) -> Iterator[str]:
    """What is to be loaded for that."""
    if "no:isoclient" not in " ".join(options):
        yield "isoclient.plugin"
    for start, module in BY_OPTION.items():
        if any(option.startswith(start) for option in options):
            yield module
    for fixture, module in BY_FIXTURE.items():
        if fixture in source:
            yield module
