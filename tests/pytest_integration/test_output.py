"""What the app prints, in runs of pytest: sections, crashes, ways of capturing, xdist."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pytest_integration.runs import Run

APP = """
    import ctypes
    import os
    import sys

    libc = ctypes.CDLL(None)
    at_import = sys.stderr

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("stopping")
            await send({"type": "lifespan.shutdown.complete"})
            return
        print("from python")
        libc.puts(b"from C")
        libc.fflush(None)
        print("to the stream of the import", file=at_import)
        if scope["path"] == "/crash":
            os.abort()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})
"""

TEST = """
    import os

    import pytest

    from isoclient import AppCrashed, TestClient
    from mill import app

    @pytest.fixture(scope="module")
    def client():
        with TestClient(app, isolated=True, start_method=os.environ["SHOP_MODE"]) as client:
            yield client

    def test_call(client):
        client.get("/")
        pytest.fail("to see the sections")

    def test_crash(client):
        client.get("/crash")
"""

SECTIONS = """\
----------------------------- Captured stdout call -----------------------------
from python
from C
----------------------------- Captured stderr call -----------------------------
to the stream of the import
"""


@pytest.mark.parametrize("capture", ["fd", "sys"])
@pytest.mark.parametrize("mode", ["fork", "forkserver"])
def test_sections(run: Run, write: Callable[..., None], mode: str, capture: str) -> None:
    write(mill=APP, test_mill=TEST)
    text = run(f"--capture={capture}", "--tb=short", mode=mode).text
    before, crash = text.split("_ test_crash _")
    assert SECTIONS in before, text
    assert " in app, while handling GET /crash" in crash, text
    assert SECTIONS in crash, text


@pytest.mark.usefixtures("suite")
def test_xdist_reports_the_same(run: Run) -> None:
    expected = sorted(run().report["reports"])
    found = sorted(run("-pxdist", "-n2", "--dist=loadfile", mode="fork").report["reports"])
    assert len(expected) > 100
    assert found == expected
