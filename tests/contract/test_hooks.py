"""What is called in each process of an app as it begins and as it ends, whichever way that was started."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import AppStartupError, TestClient, at_end, at_start, isolate
from isoclient.server.hooks import hooks
from tests.isolate.callers import Outer, http_scope, on_asyncio

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

Told = Callable[[], list[str]]

pytestmark = pytest.mark.modes("fork", "forkserver", "spawn")


@pytest.fixture(autouse=True)
def _no_others() -> Iterator[None]:
    before = hooks.start[:], hooks.end[:]
    yield
    hooks.start[:], hooks.end[:] = before


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the processes of apps have told: each says it with its number."""
    file = tmp_path / "told"
    file.touch()
    monkeypatch.setenv("TOLD", str(file))

    return lambda: file.read_text().splitlines()


def tell(what: str) -> None:
    with open(os.environ["TOLD"], "a") as file:
        file.write(f"{what} {os.getpid()}\n")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    import os
    import sys

    with open(os.environ["TOLD"], "a") as file:
        file.write(f"{scope['type']} {os.getpid()}\n")
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        with open(os.environ["TOLD"], "a") as file:
            file.write(f"shutdown {os.getpid()}\n")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/exit":
        sys.exit(0)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"served"})


def test_they_are_called_in_order_around_the_life_of_an_app(make_client: MakeClient, told: Told) -> None:
    import sniffio

    @at_start
    def first() -> None:
        tell("first")

    @at_start
    async def second() -> None:
        import anyio

        await anyio.sleep(0)
        tell(f"second on {sniffio.current_async_library()}")

    @at_end
    def last() -> None:
        tell("last")

    @at_end
    async def last_but_one() -> None:
        import anyio

        await anyio.sleep(0)
        tell("last but one")

    at_end(last)  # once is enough
    with make_client(app) as client:
        client.get("/")
        pid, backend = client.pid, client.call(sniffio_of)
    assert told() == [
        f"{what} {pid}"
        for what in (
            "first",
            f"second on {backend}",
            "lifespan",
            "http",
            "shutdown",
            "last but one",
            "last",
        )
    ]


async def sniffio_of() -> str:
    import sniffio

    return sniffio.current_async_library()


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_each_copy_has_them(make_client: MakeClient, told: Told) -> None:
    at_start(lambda: tell("begins"))
    at_end(lambda: tell("ends"))
    client = make_client(app)
    pids = [client.pid]
    client.restart()
    pids.append(client.pid)
    client.close()
    assert told() == [f"{what} {pid}" for pid in pids for what in ("begins", "ends")]


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_a_copy_for_one_request_has_them(told: Told) -> None:
    at_start(lambda: tell("begins"))
    at_end(lambda: tell("ends"))
    with TestClient(app, isolated="request", lifespan="off") as client:
        client.get("/")
        assert told() == [f"{what} {client.pid}" for what in ("begins", "http", "ends")]


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_an_app_for_another_client_has_them(cell: Cell, told: Told) -> None:
    at_start(lambda: tell("begins"))
    at_end(lambda: tell("ends"))
    with isolate(app, start_method=cell.mode) as isolated:
        outer = Outer({"type": "http.request"})
        on_asyncio(isolated, http_scope("/"), outer.receive, outer.send)
        pid = isolated.pid
    assert told() == [f"{what} {pid}" for what in ("begins", "http", "ends")]


@pytest.mark.modes("fork")
def test_they_are_called_where_the_app_asks_for_its_end(make_client: MakeClient, told: Told) -> None:
    at_end(lambda: tell("ends"))
    client = make_client(app)
    pid = client.pid
    with pytest.raises(Exception, match="exit"):
        client.get("/exit")
    client.close()
    assert told() == [f"http {pid}", f"ends {pid}"]


@pytest.mark.modes("thread")
def test_in_the_process_of_the_test_nothing_begins_or_ends(make_client: MakeClient, told: Told) -> None:
    at_start(lambda: tell("begins"))
    at_end(lambda: tell("ends"))
    with make_client(app, lifespan="off") as client:
        client.get("/")
    assert told() == [f"http {os.getpid()}"]


MODULE = """
import os
state = []
seen_at_import = state.copy()

def begin():
    state.append("begun")

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr((seen_at_import, state)).encode()})
"""
EARLY = """
import os

def begin():
    os.environ["BEGUN"] = "yes"
"""


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_an_app_is_imported_after_them(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "early_hook.py").write_text(EARLY)
    (tmp_path / "late_app.py").write_text(
        MODULE.replace("seen_at_import = state.copy()", "seen_at_import = os.environ.get('BEGUN')")
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("BEGUN", raising=False)
    hooks.start.append("early_hook:begin")  # as a setting names it
    for _ in range(2):  # also where a process of the app could have been left behind for others
        assert make_client("late_app:app").get("/").text == "('yes', [])"


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_one_that_the_apps_module_registers_itself_is_called_once(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    (tmp_path / "own_hook.py").write_text(MODULE + "import isoclient\nisoclient.at_start(begin)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = import_module("own_hook")
    assert make_client(module.app).get("/").text == "([], ['begun'])"


# -- what goes wrong


@pytest.mark.parametrize("how", ["plain", "async"])
def test_one_that_fails_is_why_the_app_does_not_start(make_client: MakeClient, how: str) -> None:
    if how == "plain":

        @at_start
        def fails() -> None:
            raise LookupError("no such engine")
    else:

        @at_start
        async def fails_too() -> None:
            raise LookupError("no such engine")

    with pytest.raises(AppStartupError, match=r"could not be loaded: LookupError: no such engine") as caught:
        make_client(app).get("/")
    cause = caught.value.__cause__
    assert isinstance(cause, LookupError)
    traceback = cause.__traceback__
    names = []
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names[-1].startswith("fails")


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_one_that_is_not_there(make_client: MakeClient) -> None:
    hooks.start.append("tests.no_such_module:begin")
    with pytest.raises(AppStartupError, match=r"there is no module 'tests\.no_such_module'") as caught:
        make_client(app).get("/")
    cause = caught.value.__cause__
    assert cause is not None
    assert cause.__notes__ == ["It is named in the setting isoclient_at_start."]


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.modes("fork", "forkserver")
@pytest.mark.parametrize("how", ["plain", "async"])
def test_what_fails_at_the_end_is_a_warning_and_the_others_are_called(
    make_client: MakeClient, told: Told, how: str
) -> None:
    at_end(lambda: tell("ends"))

    if how == "plain":

        @at_end
        def fails() -> None:
            raise LookupError("no such engine")
    else:

        @at_end
        async def fails_too() -> None:
            raise LookupError("no such engine")

    client = make_client(app)
    pid = client.pid
    with pytest.warns(
        RuntimeWarning, match=r"at_end\(.*fails.*\) in the app's process raised LookupError: no su"
    ) as at:
        client.close()
    assert at[0].filename == __file__
    assert told() == [f"ends {pid}"]


@pytest.mark.rest("forkserver", "spawn")
@pytest.mark.modes("fork", "forkserver")
def test_what_waits_for_ever_at_the_end_is_cancelled(
    make_client: MakeClient, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isoclient.server.hooks.END_TIME", 0.2)  # in a fork; a fresh interpreter keeps the usual time
    at_end(lambda: tell("ends"))

    @at_end
    async def waits() -> None:
        import anyio

        try:
            await anyio.sleep(300)
        finally:
            tell("cancelled")

    client = make_client(app)
    pid = client.pid
    with pytest.warns(
        RuntimeWarning, match=r"waits.* was cancelled, for it had not ended when the (0\.)?2 s for all of them"
    ):
        client.close()
    assert told() == [f"cancelled {pid}", f"ends {pid}"]


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_what_blocks_at_the_end_is_ended_with_the_process_and_named(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr("isoclient.process.app_process.END_TIME", 0.2)
    monkeypatch.setattr("isoclient.process.app_process.AppProcess.grace", 0.3)

    @at_end
    def blocks() -> None:
        threading.Event().wait()

    client = make_client(app)
    assert client.pid
    with pytest.warns(RuntimeWarning, match=r"ended by force(?s:.*) in blocks\n"):
        client.close()


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_nothing_is_said_of_an_end_that_is_well(make_client: MakeClient) -> None:
    @at_end
    async def ends() -> None:
        return None

    client = make_client(app)
    assert client.pid
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.close()


def test_what_is_no_function_is_refused() -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match="None is not a function"):
        at_start(nothing)
