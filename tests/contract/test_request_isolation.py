"""``isolated="request"``: a fresh copy of the app for each request, a fork of the test's process as it is then."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import AppCrashed, AppStartupError, AppTimeout, TestClient, WebSocketDisconnect

if TYPE_CHECKING:
    from tests.conftest import Receive, Scope, Send

Make = Callable[..., TestClient]


@pytest.fixture(params=["asyncio", "trio"])
def make_fresh(request: pytest.FixtureRequest) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(app: Any, **options: Any) -> TestClient:
            client = TestClient(app, isolated="request", backend=request.param, **{"timeout": 30.0, **options})
            stack.callback(client.close)
            return client

        yield make


async def answer(send: Send, text: object, status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": str(text).encode()})


async def whereabouts(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, os.getpid())


def test_each_request_has_a_process_of_its_own(make_fresh: Make) -> None:
    client = make_fresh(whereabouts)
    pids = [int(client.get("/").text) for _ in range(3)]
    assert len({*pids, os.getpid()}) == 4
    assert client.pid == pids[-1]
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}")


def test_nothing_survives_and_every_change_is_seen(make_fresh: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    settings = {"greeting": "hello"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await answer(send, f"{settings['greeting']} {os.environ.get('NAME')} {seen}")

    client = make_fresh(app)
    assert client.get("/a").text == "hello None ['/a']"
    settings["greeting"] = "welcome"
    monkeypatch.setenv("NAME", "Ada")
    assert client.get("/b").text == "welcome Ada ['/b']"
    assert seen == []
    monkeypatch.setitem(settings, "greeting", "bye")
    assert client.get("/c").text == "bye Ada ['/c']"
    assert client.call(lambda: settings["greeting"]) == "bye"
    client.call(lambda: settings.clear())
    assert client.call(lambda: len(settings)) == 1


def test_each_copy_runs_its_own_lifespan(make_fresh: Make, tmp_path: Path) -> None:
    journal = tmp_path / "journal"

    def note(text: str) -> None:
        with journal.open("a") as file:
            file.write(text + "\n")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["pid"] = os.getpid()
            note("startup")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            note("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        note(scope["path"])
        await answer(send, scope["state"].get("pid") == os.getpid())

    client = make_fresh(app)
    assert client.get("/before").text == "False"
    with client:
        assert client.get("/one").text == "True"
        assert client.get("/two").text == "True"
        assert client.call(lambda: "called") == "called"
    assert client.get("/after").text == "False"
    life = ["startup", "shutdown"]
    tried, called = life, life
    assert journal.read_text().split() == [
        "/before", *tried, "startup", "/one", "shutdown", "startup", "/two", "shutdown", *called, "/after"
    ]  # fmt: skip


def test_a_lifespan_that_fails_fails_the_request(make_fresh: Make) -> None:
    class Broken(Exception):
        pass

    where = "nowhere"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            if scope["path"] == "/raise":
                raise LookupError("the app's")
            await answer(send, "fine")
            return
        await receive()
        if where == "startup":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if where == "shutdown":
            raise Broken("at the end")
        await send({"type": "lifespan.shutdown.complete"})

    with make_fresh(app) as client:
        where = "startup"
        with pytest.raises(AppStartupError, match="no database"):
            client.get("/")
        where = "shutdown"
        with pytest.raises(Broken, match="at the end"):
            client.get("/")
        with pytest.raises(LookupError, match="the app's") as raised:
            client.get("/raise")
        assert "at the end" in raised.value.__notes__[0]


def test_each_hop_of_a_redirect_is_a_copy(make_fresh: Make) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        if scope["path"] == "/from":
            cookie = (b"set-cookie", f"first={os.getpid()}".encode())
            await answer(send, "", 303, [(b"location", b"/to"), cookie])
            return
        await answer(send, f"{os.getpid()} {seen} {dict(scope['headers'])[b'cookie'].decode()}")

    pid, seen_there, cookie = make_fresh(app).get("/from").text.split(" ", 2)
    assert seen_there == "['/to']"
    assert cookie != f"first={pid}"


def test_a_streamed_response_keeps_its_process(make_fresh: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-pid", b"%d" % os.getpid())]})
        pieces = 3 if scope["path"] == "/three" else 10**9
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": b"%d\n" % os.getpid(), "more_body": True})
        await send({"type": "http.response.body"})

    client = make_fresh(app)
    response = client.get("/three", stream=True)
    pid = response.headers["x-pid"]
    assert [*response.iter_lines()] == [pid.encode()] * 3
    assert not os.path.exists(f"/proc/{pid}")

    response = client.get("/endless", stream=True)
    pid = response.headers["x-pid"]
    lines = response.iter_lines()
    assert next(lines) == pid.encode()
    assert f"pid {pid}" in repr(client)
    other = client.get("/three")
    assert other.headers["x-pid"] != pid
    assert next(lines) == pid.encode()
    response.close()
    assert not os.path.exists(f"/proc/{pid}")

    response = client.get("/endless", stream=True)
    pid = response.headers["x-pid"]
    del response, lines  # it is told to end, and is waited for by whoever comes next
    client.get("/three")
    assert not os.path.exists(f"/proc/{pid}")

    response = client.get("/endless", stream=True)
    pid = response.headers["x-pid"]
    client.close()
    assert not os.path.exists(f"/proc/{pid}")
    assert client.get("/three").status_code == 200


def test_websockets(make_fresh: Make) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/refuse":
            await send({"type": "websocket.close", "code": 4000})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "raise":
                raise LookupError("the app's")
            seen.append(message["text"])
            await send({"type": "websocket.send", "text": f"{os.getpid()} {','.join(seen)}"})

    client = make_fresh(app)
    pids = []
    for _ in range(2):
        with client.websocket_connect("/") as session:
            session.send_text("a")
            session.receive_text()
            with client.websocket_connect("/") as other:
                other.send_text("b")
                assert other.receive_text().split()[1] == "b"
            with pytest.raises(AppTimeout):
                session.receive_text(timeout=0.05)
            session.send_text("c")
            pid, text = session.receive_text().split()
            assert text == "a,c"
            pids.append(int(pid))
        assert not os.path.exists(f"/proc/{pid}")
    assert pids[0] != pids[1]
    with pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/refuse")
    with client.websocket_connect("/") as session:
        session.send_text("raise")
        with pytest.raises(LookupError, match="the app's"):
            session.receive_text()


def test_what_goes_wrong_concerns_one_request(make_fresh: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/raise":
                raise LookupError("the app's")
            case "/exit":
                raise SystemExit(3)
            case "/kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "/hang":
                time.sleep(60)
            case "/wait":
                while (await receive())["type"] != "http.disconnect":
                    pass
        await answer(send, "fine")

    client = make_fresh(app)
    with pytest.raises(LookupError, match="the app's"):
        client.get("/raise")
    with pytest.raises(AppCrashed, match=r"raised SystemExit\(3\) at .*, while handling GET /exit"):
        client.get("/exit")
    with pytest.raises(AppCrashed, match=r"called os\.kill\(.*SIGKILL\) at .*, while handling GET /kill"):
        client.get("/kill")
    with pytest.raises(AppTimeout, match="its process was ended"):
        client.get("/hang", timeout=0.2)
    with pytest.raises(AppTimeout):
        client.get("/wait", timeout=0.2)
    with pytest.raises(AppCrashed, match="SIGKILL"):
        client.call(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ZeroDivisionError):
        client.call(lambda: 1 / 0)

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("the test's")

    with pytest.raises(LookupError, match="the test's"):
        client.post("/wait", data=pieces())
    assert client.get("/").text == "fine"


def test_several_threads(make_fresh: Make) -> None:
    client = make_fresh(whereabouts)
    pids: list[str] = []

    def work() -> None:
        for _ in range(5):
            pids.append(client.get("/").text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(pids) == len({*pids}) == 20


def test_the_rest_of_the_client(make_fresh: Make) -> None:
    client = make_fresh(whereabouts)
    with pytest.raises(RuntimeError, match="nothing has run yet"):
        client.pid  # noqa: B018
    assert "a fork for each request" in repr(client)
    client.restart()
    client.close()
    assert int(client.get("/").text) == client.pid
    with make_fresh(lambda: whereabouts, factory=True) as made:
        assert int(made.get("/").text) == made.pid


def test_it_is_for_fork_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("forkserver", "spawn"):
        with pytest.raises(ValueError, match=f"start_method='{method}' can't be"):
            TestClient(whereabouts, isolated="request", start_method=method)
    with pytest.raises(ValueError, match="Import the app and pass that"):
        TestClient("shop:app", isolated="request")
    TestClient(whereabouts, isolated="request", start_method="fork")
    monkeypatch.delattr(os, "fork")
    with pytest.raises(ValueError, match=r"needs os\.fork, which this platform has not"):
        TestClient(whereabouts, isolated="request")
