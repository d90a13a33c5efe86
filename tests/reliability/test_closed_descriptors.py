"""A test that closes all descriptors of its process, ours among them: what has their numbers then is left alone.

Where the app is in another process, that is. An event loop in the test's writes to the number that its waker had.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

PROGRAM = """
    import os
    import socket
    import sys
    import tempfile

    from isoclient import AppCrashed, TestClient

    MODES = {
        "fork": {"isolated": True},
        "forkserver": {"isolated": True, "start_method": "forkserver"},
        "spawn": {"isolated": True, "start_method": "spawn"},
        "template": {"isolated": True, "app": "program:app"},
    }

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hello"})

    if __name__ == "__main__":
        options = {"app": app, "timeout": 20, **MODES[sys.argv[1]]}
        for _ in range(2):  # so that the fork server and a template are there
            with TestClient(**options) as client:
                client.get("/")
        client = TestClient(**options)
        client.get("/")
        os.closerange(3, 1000)
        files = [tempfile.TemporaryFile() for _ in range(20)]
        pairs = [socket.socketpair() for _ in range(20)]
        try:
            client.close()
        except AppCrashed:  # what had kept it alive is gone
            pass
        for file in files:
            file.write(b"mine")
            file.seek(0)
            assert file.read() == b"mine"
        for one, other in pairs:
            one.settimeout(20)
            other.sendall(b"ours")
            assert one.recv(10) == b"ours"
        with TestClient(**options) as client:
            print(client.get("/").text)
"""


@pytest.mark.parametrize(
    "mode", ["fork", "template", *(pytest.param(mode, marks=pytest.mark.rest) for mode in ("forkserver", "spawn"))]
)
def test_what_has_got_their_numbers_stays_open(tmp_path: Path, mode: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(dedent(PROGRAM))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), mode], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
