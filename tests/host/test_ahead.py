"""What a fork would import at its first use is imported before, if there is a use for it."""

from __future__ import annotations

import subprocess
import sys

from isoclient import TestClient
from tests.conftest import Receive, Scope, Send

PROGRAM = """
import sys
from isoclient.host.ahead import import_ahead
{before}
import_ahead({backend!r}, {options})
print(*sorted(name for name in {of_interest} if sys.modules.get(name)))
"""
OF_INTEREST = {
    "anyio._backends._asyncio",
    "anyio._backends._trio",
    "isoclient.host.aio",
    "isoclient.host.trio_",
    "uvloop",
}


def loaded(backend: str, before: str = "", **options: bool) -> list[str]:
    program = PROGRAM.format(before=before, backend=backend, options=options, of_interest=OF_INTEREST)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_host_alone() -> None:
    assert loaded("asyncio") == ["isoclient.host.aio"]
    assert loaded("trio") == ["isoclient.host.trio_"]


def test_what_anyio_needs_where_there_is_anyio() -> None:
    assert loaded("asyncio", "import anyio") == ["anyio._backends._asyncio", "isoclient.host.aio"]
    assert loaded("trio", "import anyio") == ["anyio._backends._trio", "isoclient.host.trio_"]


def test_uvloop_where_it_is_asked_for() -> None:
    assert loaded("asyncio", use_uvloop=True) == ["isoclient.host.aio", "uvloop"]


def test_what_is_not_there_is_for_the_process_to_tell() -> None:
    hidden = "sys.modules['uvloop'] = sys.modules['trio'] = None"
    assert loaded("asyncio", hidden, use_uvloop=True) == ["isoclient.host.aio"]
    assert loaded("trio", hidden) == []


def test_a_fork_finds_it_imported() -> None:
    import anyio

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = "anyio._backends._asyncio" in sys.modules
        await anyio.to_thread.run_sync(int)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(found).encode()})

    client = TestClient(app, isolated=True, start_method="fork")
    assert client.get("/").text == "True"
    client.close()
