"""Real runs of pytest, each in a process of its own, on small suites that a test writes down."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# Plugins that may be installed here, and take a while to load.
OTHERS = " ".join(
    f"-p no:{name}"
    for name in ("anyio", "asyncio", "cacheprovider", "faker", "hypothesispytest", "pytest_cov", "randomly", "timeout")
)

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


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Writes a suite and runs it: ``suite(test_module, *options)``; its app is in ``shop.py``."""
    for name in list(os.environ):
        if name.startswith("PYTEST_"):
            monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(shop=APP)
    pytester.makeini(f"[pytest]\naddopts = {OTHERS}\nfilterwarnings =\n    error\n")

    def run(source: str, *options: str, ini: str = "") -> pytest.RunResult:
        if ini:
            file = Path(pytester.path / "tox.ini")
            file.write_text(f"{file.read_text()}\n{ini}\n")
        pytester.makepyfile(test_suite=source)
        return pytester.runpytest_subprocess(*options, timeout=60)

    return run
