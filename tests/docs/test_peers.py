"""What the README says of isoclient and of other clients, in a table, is so."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

APP = """
import os

count = 0
PRICE = 5
things = []
started = False


async def app(scope, receive, send):
    global count, started
    if scope["type"] == "lifespan":
        await receive()
        started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})
        return
    path = scope["path"]
    if path == "/crash":
        os._exit(9)
    if path == "/raise":
        raise LookupError("no such book")
    if path == "/count":
        count += 1
    text = {"/price": PRICE, "/things": len(things), "/started": started}.get(path, "")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(text).encode()})
"""
COLUMNS = ["isolated", "in-process", "starlette", "httpx", "server"]
NOT_TRIED = {
    ("server", "WebSockets"),  # the probe has no client for them
}


def table() -> dict[str, dict[str, str]]:
    """What the README says: of each client, by the name of the row."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## When to use something else")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    said = {column: {row[0]: row[at + 1] for row in rows[2:]} for at, column in enumerate(COLUMNS)}
    assert len(said["isolated"]) > 8
    return said


@pytest.mark.parametrize("client", COLUMNS)
def test_the_table_is_true(client: str, tmp_path: Path) -> None:
    if client == "server" and find_spec("uvicorn") is None:
        pytest.skip("needs uvicorn")
    (tmp_path / "probed.py").write_text(APP)
    probe = (Path(__file__).parent / "peers_probe.py").read_text(encoding="utf-8")
    (tmp_path / "probe.py").write_text(probe, encoding="utf-8")
    command = [sys.executable, "probe.py", client]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    found = {"outlives a crash of the app": False}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    assert len(found) == 7, done.stderr
    for fact, is_so in found.items():
        if (client, fact) not in NOT_TRIED:
            assert table()[client][fact] == ("yes" if is_so else "no"), fact
