"""The client in a test that runs inside an event loop: pytest-asyncio's, anyio's on asyncio and on trio."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debugging.session import RunPytest

APP = """
import asyncio, os
import pytest
from isoclient import TestClient

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["name"] = "shop"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"]})
        await send({"type": "websocket.close"})
    else:
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["name"].encode()})

async def double(number):
    await asyncio.sleep(0)
    return 2 * number

def use(client):
    assert client.get("/").text == "shop"
    with client.websocket_connect("/") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    assert client.call(double, 21) == 42

@pytest.fixture(params=["fork", "forkserver", "thread"])
def client(request):
    options = {"isolated": True, "start_method": request.param} if request.param != "thread" else {}
    with TestClient(app, **options) as client:
        yield client
"""

STRICT = """
import anyio
import pytest_asyncio

@pytest.mark.asyncio
async def test_asyncio(client):
    use(client)
    await asyncio.sleep(0)
    use(client)

@pytest.mark.asyncio
async def test_started_inside_the_loop():
    for options in {"isolated": True}, {"isolated": True, "start_method": "forkserver"}, {}:
        with TestClient(app, **options) as client:
            use(client)
            await asyncio.sleep(0)
            await asyncio.to_thread(use, client)

@pytest_asyncio.fixture
async def made_by_an_async_fixture():
    with TestClient(app, isolated=True) as client:
        yield client

@pytest.mark.asyncio
async def test_async_fixture(made_by_an_async_fixture):
    use(made_by_an_async_fixture)

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(client, anyio_backend):
    use(client)
    await anyio.sleep(0)
    await anyio.to_thread.run_sync(use, client)

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("options", [{"isolated": True}, {}])
async def test_anyio_started_inside_the_loop(anyio_backend, options):
    with TestClient(app, **options) as client:
        use(client)
        await anyio.sleep(0)
        use(client)
"""

AUTO = """
async def test_it(client):
    use(client)
    await asyncio.sleep(0)

async def test_started_inside_the_loop():
    with TestClient(app, isolated=True) as client:
        use(client)
"""


@pytest.mark.parametrize(("mode", "tests", "count"), [("strict", STRICT, 15), ("auto", AUTO, 4)])
def test_the_client_works_inside_a_running_loop(
    run_pytest: RunPytest, tmp_path: Path, mode: str, tests: str, count: int
) -> None:
    (tmp_path / "test_shop.py").write_text(APP + tests)
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )

    code, text = run_pytest(tmp_path, "-ppytest_asyncio.plugin", "-panyio.pytest_plugin")

    assert (code, f"{count} passed" in text) == (0, True), text
