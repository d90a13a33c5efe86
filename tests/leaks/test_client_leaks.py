"""What an app leaves behind in its process, by line: ``client.leaks()`` and ``isolate(app).leaks()``."""

from __future__ import annotations

import asyncio
import contextlib
import decimal
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import starlette.testclient
from fastapi import FastAPI, WebSocket
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from isoclient import AppCrashed, Leak, TestClient, isolate
from tests.conftest import MakeClient

kept: list[Any] = []


class Shop:
    names: ClassVar[dict[str, str]] = {}  # a class


visitors: list[str] = []  # a list
prices: dict[str, int] = {}
is_open = False


def deliver() -> None:
    threading.Event().wait(100)


async def poll() -> None:
    await asyncio.sleep(100)  # waiting


async def fail() -> None:
    raise ValueError


def leave_everything() -> None:
    global is_open
    kept.append(lambda: None)
    threading.Thread(target=deliver, name="mailer", daemon=True).start()  # a thread
    kept.append(asyncio.get_running_loop().create_task(poll(), name="poller"))  # a task
    kept.append(open("/etc/passwd"))  # noqa: SIM115  # a file
    kept.append(socket.create_server(("127.0.0.1", 0)))  # a socket
    kept.append(subprocess.Popen(["sleep", "100"]))  # a process
    tempfile.mkdtemp(dir=os.environ["HERE"])  # a directory
    os.environ["SHOP_MODE"] = "sale"  # a variable
    os.chdir("/")  # the current directory
    os.umask(0o077)  # the umask
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a signal
    logging.getLogger("shop").setLevel("DEBUG")  # a level
    logging.getLogger("shop").addHandler(logging.StreamHandler())  # a handler
    warnings.simplefilter("ignore", BytesWarning)  # a filter
    random.seed(1)  # a seed
    fail()  # type: ignore[unused-coroutine]  # a coroutine
    asyncio.get_running_loop().create_task(fail())  # an exception
    visitors.append("ada")
    Shop.names["a"] = "b"
    is_open = True  # a global
    sys.path.append("/shop")
    sys.modules["json"] = object()  # type: ignore[assignment]
    decimal.DefaultContext.prec = 7


ALL_OF_IT = [
    ("thread", "'mailer', runs test_client_leaks.deliver", "a thread"),
    ("task", r"'poller', poll, waits at .*test_client_leaks.py:\d+", "a task"),
    ("file", "/etc/passwd", "a file"),
    ("socket", r"listening on 127.0.0.1:\d+", "a socket"),
    ("process", r"'sleep 100' \(pid \d+\)", "a process"),
    ("temporary file", r"/\S+", "a directory"),
    ("environ", r"SHOP_MODE = 'sale' \(was unset\)", "a variable"),
    ("cwd", r"/ \(was /.*\)", "the current directory"),
    ("umask", r"0077 \(was 0\d+\)", "the umask"),
    ("signal", r"SIGUSR1: ignored \(was the default\)", "a signal"),
    ("logging", r"level DEBUG of shop \(was NOTSET\)", "a level"),
    ("logging", r"handler <StreamHandler .*> of shop", "a handler"),
    ("warnings", "ignore BytesWarning", "a filter"),
    ("random", "all that draws numbers gets the same ones", "a seed"),
    ("asyncio", "the coroutine fail, which was never awaited", "a coroutine"),
    ("asyncio", r"ValueError of Task-\d+, which nobody has retrieved", "an exception"),
    ("global", r"test_client_leaks.visitors: 1 item \(was 0\)", "a list"),
    ("global", r"test_client_leaks.Shop.names: 1 item \(was 0\)", "a class"),
    ("global", r"test_client_leaks.is_open = True \(was False\)", "a global"),
    ("sys.path", "'/shop' added", None),
    ("sys.modules", "json replaced by <object object at .*>", None),
    ("decimal", r"DefaultContext.prec = 7 \(was 28\)", None),
]


def line(comment: str | None) -> str:
    """The line of this file that has this comment; for what is in a class, that of the class."""
    if comment is None:
        return ""
    number = next(
        i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if text.endswith(f"# {comment}")
    )
    return f"{__file__}:{number - (comment == 'a class')}"


async def answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_what_is_left_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            leave_everything()
        await answer(send)

    monkeypatch.setenv("HERE", str(tmp_path))
    client = TestClient(app, isolated=True, leaks=True)
    client.get("/nothing")
    assert client.leaks() == []
    client.get("/")
    left = client.leaks()
    for kind, what, comment in ALL_OF_IT:
        found = [leak for leak in left if leak.kind == kind and re.fullmatch(what, leak.what)]
        assert [leak.where for leak in found] == [line(comment)], (kind, what, left)
    assert len(left) == len(ALL_OF_IT) + 1  # the list of what is kept has grown, too
    client.close()
    assert len(client.leaks()) == len(left)  # as it was at the end


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(poll())
    kept.append(task)
    os.environ["SHOP_MODE"] = "sale"
    with open("/etc/passwd"):
        yield
    del os.environ["SHOP_MODE"]
    kept.clear()
    task.cancel()


def make_fastapi() -> Any:
    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def root() -> str:
        return await asyncio.to_thread(str, "done")

    @app.get("/sync")
    def sync() -> str:
        return "done"

    return app


def make_starlette() -> Any:
    async def root(request: Request) -> PlainTextResponse:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        with tempfile.TemporaryDirectory():
            return PlainTextResponse("done")

    def sync(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    return Starlette(routes=[Route("/", root), Route("/sync", sync)], lifespan=lifespan)


def make_litestar() -> Any:
    @get("/")
    async def root() -> str:
        return "done"

    @get("/sync", sync_to_thread=True)
    def sync() -> str:
        return "done"

    return Litestar([root, sync], lifespan=[lifespan], logging_config=None)


@pytest.mark.parametrize("make_app", [make_fastapi, make_starlette, make_litestar])
def test_clean_apps_leave_nothing(make_app: Any) -> None:
    with TestClient(make_app(), isolated=True, leaks=True) as client:
        for path in ("/", "/sync"):
            assert client.get(path).status_code == 200
        assert client.leaks() == []  # what the startup has made, the lifespan has still
    assert client.leaks() == []


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio", "uvloop", "trio")
def test_each_event_loop_leaves_nothing_and_knows_its_tasks(make_client: MakeClient) -> None:
    import sniffio

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/leave":
            if sniffio.current_async_library() == "trio":
                import trio

                trio.lowlevel.spawn_system_task(trio.sleep, 100, name="poller")
            else:
                kept.append(asyncio.get_running_loop().create_task(poll(), name="poller"))
        await answer(send)

    client = make_client(app, leaks=True)
    client.get("/")
    assert client.leaks() == []
    client.get("/leave")
    assert [leak.what.split(",")[0] for leak in client.leaks() if leak.kind == "task"] == ["'poller'"]


def test_what_the_shutdown_leaves_is_left() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        os.environ["SHOP_MODE"] = "sale"  # in the startup
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    with TestClient(app, isolated=True, leaks=True) as client:
        assert client.leaks() == []
    left = [Leak("environ", "SHOP_MODE = 'sale' (was unset)", line("in the startup"))]
    assert client.leaks() == left

    isolated = isolate(app, leaks=True)
    with starlette.testclient.TestClient(isolated):
        assert isolated.leaks() == []
    assert isolated.leaks() == left
    isolated.close()
    assert isolated.leaks() == left


def test_what_belongs_to_an_open_websocket_is_not_left() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        task = asyncio.create_task(poll())
        visitors.append("ada")
        with open("/etc/passwd"):
            await websocket.send_text("hello")
            await websocket.receive()
        if websocket.query_params.get("clean"):
            task.cancel()
            visitors.clear()
        else:
            kept.append(task)

    client = TestClient(app, isolated=True, leaks=True)
    for clean, left in (("1", set()), ("", {"task", "global"})):
        with client.websocket_connect(f"/?clean={clean}") as session:
            assert session.receive_text() == "hello"
            assert client.leaks() == []
        assert {leak.kind for leak in client.leaks()} == left


def test_what_the_test_changes_is_not_left_by_the_app(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    client = TestClient(app, isolated=True, leaks=True)
    client.get("/")
    with monkeypatch.context() as patch:
        patch.setenv("SHOP_MODE", "sale")
        patch.setattr(sys.modules[__name__], "is_open", True)
        patch.setitem(prices, "tea", 3)
        caplog.set_level("DEBUG", "shop")
        client.get("/")
        assert client.call(lambda: (os.environ["SHOP_MODE"], is_open, prices)) == ("sale", True, {"tea": 3})
        assert client.leaks() == []
    client.get("/")
    assert client.leaks() == []


def test_each_copy_of_one_request_is_told_of() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        visitors.append("ada")
        await answer(send)

    client = TestClient(app, isolated="request", leaks=True)
    assert client.leaks() == []
    client.get("/")
    client.get("/")
    left = Leak("global", "test_client_leaks.visitors: 1 item (was 0)", line("a list"))
    assert client.leaks() == [left, left]


def test_what_a_dead_app_has_left_is_not_known() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with TestClient(app, isolated=True, leaks=True, lifespan="off") as client:
        with pytest.raises(AppCrashed):
            client.get("/")
        with pytest.raises(RuntimeError, match="has died"):
            client.leaks()


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


def test_who_has_not_asked_for_it_is_told_what_to_write() -> None:
    for client, advice in (
        (TestClient(nothing, isolated=True), r"TestClient\(..., isolated=True, leaks=True\)"),
        (TestClient(nothing), r"TestClient\(..., isolated=True, leaks=True\)"),
        (isolate(nothing), r"isolate\(app, leaks=True\)"),
    ):
        with pytest.raises(RuntimeError, match=advice):
            client.leaks()
    with pytest.raises(ValueError, match="needs isolated=True"):
        TestClient(nothing, leaks=True)
