"""``client.call``: a test looks into the app, or changes it, though it is elsewhere."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from isoclient import AppTimeout, ObjectNotLoadable, ObjectNotSendable
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


class Refused(Exception):
    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


def add(a: int, b: int = 1) -> int:
    return a + b


async def add_later(a: int, b: int = 1) -> int:
    await anyio.lowlevel.checkpoint()
    return a + b


def refuse() -> None:
    raise Refused(7, why="because")


def test_functions_of_both_kinds(make_client: MakeClient) -> None:
    client = make_client(nothing)
    assert client.call(add, 1) == 2
    assert client.call(add, 1, b=5) == 6
    assert client.call(add_later, 1) == 2
    assert client.call(add_later, 1, b=5) == 6
    assert client.call(lambda a, *, b: [a, b], 1, b=2) == [1, 2]
    assert client.call(functools.partial(add_later, 1), 10) == 11
    assert client.call(os.getpid) == client.pid
    assert client.call(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]

    here = "the test's"

    async def local(text: str) -> str:
        await anyio.sleep(0)
        return f"{here} {text}"

    assert client.call(local, "own") == "the test's own"
    assert client.get("/").status_code == 204


def test_it_raises_what_the_function_raises(make_client: MakeClient) -> None:
    client = make_client(nothing)
    with pytest.raises(ZeroDivisionError):
        client.call(lambda: 1 / 0)
    with pytest.raises(Refused, match="7: because") as caught:
        client.call(refuse)
    assert caught.value.code == 7
    assert caught.traceback[-1].name == "refuse"

    async def fail() -> None:
        await anyio.sleep(0)
        raise LookupError("later")

    with pytest.raises(LookupError, match="later"):
        client.call(fail)
    with pytest.raises(TypeError, match="argument"):
        client.call(add)
    assert client.call(add, 1) == 2


def test_a_reference_to_the_app_means_the_one_that_runs(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.dependency_overrides: dict[str, str] = {}
            self.count = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.count += 1
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": self.dependency_overrides.get("user", "?").encode()})

        def reset(self) -> int:
            was, self.count = self.count, 0
            return was

    app = App()
    client = make_client(app)
    assert client.get("/").content == b"?"
    client.call(lambda: app.dependency_overrides.update(user="me"))
    assert client.get("/").content == b"me"
    assert client.call(lambda: app.count) == 2
    assert client.call(app.reset) == 2
    assert client.call(lambda it: it.count, app) == 0
    client.call(setattr, app, "count", 7)
    assert client.call(getattr, app, "count") == 7
    assert client.call(lambda: app) is app


@pytest.mark.modes("fork", "thread")
def test_the_same_for_an_app_that_is_a_function(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": app.status})  # type: ignore[attr-defined]
        await send({"type": "http.response.body"})

    app.status = 200  # type: ignore[attr-defined]
    client = make_client(app)
    client.call(lambda: setattr(app, "status", 418))
    assert client.get("/").status_code == 418


def test_it_sees_the_modules_of_the_apps_process(make_client: MakeClient, cell: Cell) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sys.modules[__name__].mark = "set by the app"  # type: ignore[attr-defined]
        await nothing(scope, receive, send)

    client = make_client(app)
    client.get("/")
    name = __name__
    assert client.call(lambda: sys.modules[name].mark) == "set by the app"
    assert hasattr(sys.modules[__name__], "mark") is not cell.isolated
    if not cell.isolated:
        del sys.modules[__name__].mark


@pytest.mark.modes("fork", "thread")
def test_it_runs_on_the_apps_loop(make_client: MakeClient, cell: Cell) -> None:
    class App:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.event = anyio.Event()
            self.thread = threading.get_ident()
            await self.event.wait()
            await nothing(scope, receive, send)

    app = App()
    client = make_client(app)
    results = []
    thread = threading.Thread(target=lambda: results.append(client.get("/").status_code))
    thread.start()
    eventually(lambda: client.call(lambda: hasattr(app, "event")))

    def set_from_the_loop() -> bool:
        app.event.set()
        return threading.get_ident() == app.thread

    assert client.call(set_from_the_loop)
    thread.join(30)
    assert results == [204]


def test_a_file_like_a_database(make_client: MakeClient, tmp_path: Path) -> None:
    import sqlite3

    path = str(tmp_path / "shop.db")

    class App:
        def __init__(self) -> None:
            self.rows: Any = None

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            database = sqlite3.connect(path)
            with database:
                database.execute("CREATE TABLE IF NOT EXISTS orders (path)")
                database.execute("INSERT INTO orders VALUES (?)", (scope["path"],))
            database.close()
            await nothing(scope, receive, send)

    def rows() -> list[Any]:
        database = sqlite3.connect(path)
        found = database.execute("SELECT path FROM orders").fetchall()
        database.close()
        return found

    client = make_client(App())
    client.get("/a")
    client.get("/b")
    assert client.call(rows) == [("/a",), ("/b",)]


@pytest.mark.backends("asyncio")
def test_big_values(make_client: MakeClient) -> None:
    client = make_client(nothing)
    data = bytes(range(256)) * 20_000
    assert client.call(lambda value: value[::-1], data) == data[::-1]


@pytest.mark.backends("asyncio")
def test_what_cannot_cross(make_client: MakeClient, cell: Cell) -> None:
    client = make_client(nothing)
    lock = threading.Lock()
    if not cell.isolated:
        assert client.call(lambda: lock) is lock
        return
    with pytest.raises(ObjectNotSendable, match="argument 1"):
        client.call(lambda a, b: None, 1, lock)
    with pytest.raises(ObjectNotSendable, match="argument 'guard'"):
        client.call(lambda guard: None, guard=lock)
    with pytest.raises(ObjectNotSendable, match="closure variable 'lock'"):
        client.call(lambda: lock.locked())
    with pytest.raises(ObjectNotSendable, match="lock"):
        client.call(threading.Lock)
    with pytest.raises(ObjectNotSendable, match="lock"):
        client.call(lambda: {"deep": [threading.Lock()]})
    assert client.call(add, 1) == 2


class AnswersForItself:
    """As a framework's state: what has no attribute of that name has an item of it."""

    def __init__(self, **items: object) -> None:
        super().__setattr__("items", items)

    def __getattr__(self, name: str) -> Any:
        return self.items[name]

    def __setattr__(self, name: str, value: object) -> None:
        self.items[name] = value


@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
@pytest.mark.backends("asyncio")
def test_what_answers_for_its_attributes_crosses_as_argument_as_result_and_as_part_of_the_app(
    make_client: MakeClient,
) -> None:
    class App:
        def __init__(self) -> None:
            self.state = AnswersForItself(color="red")

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await nothing(scope, receive, send)

    app = App()
    client = make_client(app)

    def paint(given: Any) -> Any:
        app.state.color = given.color
        return app.state

    assert client.call(lambda: app.state.color) == "red"
    assert client.call(paint, AnswersForItself(color="blue")).color == "blue"
    assert client.call(lambda: app.state.color) == "blue"


class Evaluates:
    def __reduce__(self) -> Any:
        return eval, ("1 / 0",)


@pytest.mark.modes("fork", "forkserver")
@pytest.mark.backends("asyncio")
def test_a_result_imports_nothing_and_runs_no_code_unless_it_is_trusted(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_over_there.py").write_text("class Order:\n    number = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def order() -> Any:
        import only_over_there  # type: ignore[import-not-found]

        return only_over_there.Order()

    client = make_client(nothing)
    with pytest.raises(ObjectNotLoadable, match=r"has not imported 'only_over_there'.*trust_results"):
        client.call(order)
    assert "only_over_there" not in sys.modules
    with pytest.raises(ObjectNotLoadable, match="eval would have to be called here"):
        client.call(Evaluates)
    with pytest.raises(ObjectNotSendable, match="trust_results"):
        client.call(lambda: lambda: 7)
    assert client.call(lambda: [Path("a"), Refused]) == [Path("a"), Refused]

    client.trust_results = True
    try:
        assert client.call(order).number == 7
    finally:
        sys.modules.pop("only_over_there", None)
    assert client.call(lambda: lambda: 7)() == 7


@pytest.mark.modes("fork", "thread")
def test_it_starts_the_app_as_a_request_does(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope["state"]["x"] = 1
        app.started = True  # type: ignore[attr-defined]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    client = make_client(app)
    assert not client.call(lambda: hasattr(app, "started"))
    with client:
        assert client.call(lambda: hasattr(app, "started"))


@pytest.mark.modes("fork", "thread")
def test_one_that_does_not_end(make_client: MakeClient) -> None:
    class App:
        cancelled = False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    app = App()

    async def wait_for_ever() -> None:
        try:
            await anyio.Event().wait()
        except anyio.get_cancelled_exc_class():
            app.cancelled = True
            raise

    client = make_client(app, timeout=0.3)
    with pytest.raises(AppTimeout, match="wait_for_ever") as caught:
        client.call(wait_for_ever)
    assert "in wait_for_ever" in caught.value.tasks
    client.timeout = 30.0
    eventually(lambda: client.call(lambda: app.cancelled))


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_calls_and_requests_at_the_same_time(make_client: MakeClient) -> None:
    class App:
        def __init__(self) -> None:
            self.waiting = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.waiting += 1
            while self.waiting < 4:
                await asyncio.sleep(0)
            await nothing(scope, receive, send)

    app = App()
    client = make_client(app)
    threads = [threading.Thread(target=client.get, args=("/",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: client.call(lambda: app.waiting) >= 3)
    client.get("/")
    for thread in threads:
        thread.join(30)
    assert client.call(lambda: app.waiting) == 4


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_an_app_that_was_imported_there(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_for_call.py").write_text(
        "count = 0\n"
        "async def app(scope, receive, send):\n"
        "    global count\n"
        "    count += 1\n"
        "    await send({'type': 'http.response.start', 'status': 204})\n"
        "    await send({'type': 'http.response.body'})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    client = make_client("shop_for_call:app")
    client.get("/")
    client.get("/")
    assert client.call(lambda: sys.modules["shop_for_call"].count) == 2

    def imported() -> int:
        import shop_for_call  # type: ignore[import-not-found]

        return int(shop_for_call.count)

    assert client.call(imported) == 2
    assert "shop_for_call" not in sys.modules
