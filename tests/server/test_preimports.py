"""What a fork would import at its first use is imported before, if there is a use for it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from isoclient.server.preimports import import_ahead
{before}
import_ahead()
print(*(name for name in ("isoclient.server.asyncio_runtime", "anyio._backends._asyncio") if name in sys.modules))
"""


def loaded(before: str = "") -> list[str]:
    program = PROGRAM.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_host_alone() -> None:
    assert loaded() == ["isoclient.server.asyncio_runtime"]


def test_what_anyio_needs_where_there_is_anyio() -> None:
    assert loaded("import anyio") == ["isoclient.server.asyncio_runtime", "anyio._backends._asyncio"]


def test_what_can_not_be_imported_is_for_the_process_to_tell() -> None:
    for failure in ("ImportError", "SystemExit"):
        finder = f"class Finder:\n  def find_spec(self, name, *args):\n    if '_backends' in name: raise {failure}"
        assert loaded(f"import anyio\n{finder}\nsys.meta_path.insert(0, Finder())") == [
            "isoclient.server.asyncio_runtime"
        ]


def test_a_fork_finds_it_imported() -> None:
    program = """if True:
        import anyio, sys
        from isoclient import TestClient

        async def app(scope, receive, send):
            found = "anyio._backends._asyncio" in sys.modules
            await anyio.to_thread.run_sync(int)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": str(found).encode()})

        client = TestClient(app, isolated=True, start_method="fork")
        print(client.get("/").text)
        client.close()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")
