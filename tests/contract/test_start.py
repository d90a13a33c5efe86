"""From what the user gives as the app to one that runs; or an error at once that says which part is wrong."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import AppNotFound, AppStartupError, NotAnApp, ObjectNotSendable, TestClient
from isoclient.process.app_process import AppProcess
from tests.processes import wait_gone

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


pytestmark = pytest.mark.modes("fork", "forkserver", "spawn", "thread")  # spawn by name, so that a plain run has it


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


# -- when it starts


@pytest.mark.backends("asyncio")
def test_it_starts_at_the_first_use(make_client: MakeClient) -> None:
    def state() -> tuple[list[str], int, list[str]]:
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        return children, threading.active_count(), os.listdir("/proc/self/fd")

    make_client(hello).get("/")  # so that the fork server is there
    before = state()
    client = make_client(hello)
    assert state() == before
    assert client.get("/").text == "Hello, world!"
    assert state() != before


@pytest.mark.backends("asyncio")
def test_pid_starts_it(make_client: MakeClient, cell: Cell) -> None:
    client = make_client(hello)
    pid = client.pid
    assert (pid != os.getpid()) is cell.isolated
    client.get("/")
    assert client.pid == pid


@pytest.mark.backends("asyncio")
def test_close_and_use_again(make_client: MakeClient, cell: Cell) -> None:
    client = make_client(hello)
    first = client.pid
    client.close()
    client.close()
    assert client.get("/").text == "Hello, world!"
    assert (client.pid != first) is cell.isolated


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_close_before_it_is_there(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it imports it can't hear of its end: that it is ended by force then is nothing to be warned of."""
    monkeypatch.setattr(AppProcess, "grace", 0.0)
    client = make_client(hello)
    pid = client.pid
    client.close()
    assert wait_gone(pid, 10)


@pytest.mark.backends("asyncio")
def test_restart_is_a_fresh_copy(make_client: MakeClient, cell: Cell) -> None:
    class App:
        count = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.count += 1
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"%d" % self.count})

    client = make_client(App())
    first = client.pid
    assert [client.get("/").text, client.get("/").text] == ["1", "2"]
    client.restart()
    assert (client.pid != first) is cell.isolated
    assert client.get("/").text == ("1" if cell.isolated else "3")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_client_that_is_collected_ends_its_app(cell: Cell) -> None:
    client = TestClient(hello, **cell.options)
    client.get("/")
    del client
    gc.collect()
    # The rest is the work of the fixture that looks for what is left.


@pytest.mark.backends("asyncio")
def test_a_client_that_is_open_when_the_interpreter_exits(cell: Cell) -> None:
    program = (
        "import os, sys\n"
        "from isoclient import TestClient\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        await send({'type': 'http.response.start', 'status': 204})\n"
        "        return await send({'type': 'http.response.body'})\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    await receive()\n"
        "    print('shut down')\n"
        "    await send({'type': 'lifespan.shutdown.complete'})\n"
        f"client = TestClient(app, **{cell.options!r})\n"
        "client.__enter__()\n"
        "print(client.get('/').status_code, client.pid)\n"
        "sys.exit(5)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    first, *rest = done.stdout.splitlines()
    status, pid = first.split()
    assert (status, rest, done.stderr, done.returncode) == ("204", ["shut down"], "", 5)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


# -- what is no app


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (None, "can't be called"),
        (42, "can't be called"),
        (object(), "can't be called"),
        (lambda: None, "factory"),
        (lambda environ, start_response: [], "WSGI"),
        (lambda a, b, c, d: None, "ASGI"),
        ("app", "package.module:attribute"),
        ("pkg.module", "package.module:attribute"),
        ("pkg.module:", "package.module:attribute"),
        (":app", "package.module:attribute"),
        ("pkg/module.py:app", "package.module:attribute"),
        ("", "package.module:attribute"),
    ],
)
@pytest.mark.parametrize("isolated", [False, True])
def test_what_is_no_app_is_told_at_once(app: object, words: str, isolated: bool) -> None:
    with pytest.raises(NotAnApp, match=words) as caught:
        TestClient(app, isolated=isolated)
    assert isinstance(caught.value, TypeError)


def test_options_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match=r"'thread'.*'fork', 'forkserver', 'spawn'"):
        TestClient(hello, isolated=True, start_method="thread")
    with pytest.raises(ValueError, match="isolated=True"):
        TestClient(hello, start_method="fork")
    with pytest.raises(ValueError, match=r"'curio'.*'asyncio', 'trio'"):
        TestClient(hello, backend="curio")
    with pytest.raises(TypeError, match="colour"):
        TestClient(hello, colour="red")  # type: ignore[call-arg]


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("backend", "options", "words"),
    [
        ("asyncio", {"colour": "red"}, "colour"),
        ("asyncio", {"loop_factory": 5}, "int"),
        ("trio", {"colour": "red"}, "colour"),
    ],
)
def test_backend_options_that_do_not_exist(
    make_client: MakeClient, backend: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((AppStartupError, TypeError, ValueError), match=words):
        make_client(hello, backend=backend, backend_options=options).get("/")


# -- import strings


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is on the path, and not imported."""
    (tmp_path / "shop_for_start").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shop_for_start" / "__init__.py").write_text("")
    (tmp_path / "shop_for_start" / "main.py").write_text(
        "import os\n"
        "from types import SimpleNamespace\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': b'from the shop'})\n"
        "def make_app():\n"
        "    return app\n"
        "def make_nothing():\n"
        "    return None\n"
        "def fail():\n"
        "    raise LookupError('no configuration')\n"
        "shelf = SimpleNamespace(inner=SimpleNamespace(app=app))\n"
        "number = 5\n"
    )
    (tmp_path / "shop_for_start" / "broken.py").write_text("import no_such_dependency\n")
    (tmp_path / "shop_for_start" / "failing.py").write_text("1 / 0\n")
    return tmp_path


@pytest.fixture
def _shop_is_forgotten(shop: Path) -> Any:
    yield
    for name in [name for name in sys.modules if name.startswith("shop_for_start")]:
        del sys.modules[name]


@pytest.mark.backends("asyncio")
@pytest.mark.usefixtures("_shop_is_forgotten")
def test_import_strings(make_client: MakeClient) -> None:
    assert make_client("shop_for_start.main:app").get("/").text == "from the shop"
    assert make_client("shop_for_start.main:make_app", factory=True).get("/").text == "from the shop"


@pytest.mark.modes("forkserver", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.usefixtures("_shop_is_forgotten")
def test_an_attribute_of_an_attribute(make_client: MakeClient) -> None:
    assert make_client("shop_for_start.main:shelf.inner.app").get("/").text == "from the shop"


@pytest.mark.modes("fork", "forkserver", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.usefixtures("_shop_is_forgotten")
@pytest.mark.parametrize(
    ("app", "factory", "cause", "words"),
    [
        ("no_such_package:app", False, AppNotFound, "'no_such_package'"),
        ("shop_for_start.nothing:app", False, AppNotFound, r"'shop_for_start\.nothing'"),
        ("shop_for_start.main:nothing", False, AppNotFound, "'nothing'"),
        ("shop_for_start.main:shelf.nothing.app", False, AppNotFound, "'nothing'"),
        ("shop_for_start.main:number", False, NotAnApp, "5"),
        ("shop_for_start.main:make_app", False, NotAnApp, "factory"),
        ("shop_for_start.main:make_nothing", True, NotAnApp, "None"),
        ("shop_for_start.main:fail", True, LookupError, "no configuration"),
        ("shop_for_start.broken:app", False, ModuleNotFoundError, "no_such_dependency"),
        ("shop_for_start.failing:app", False, ZeroDivisionError, "division"),
    ],
)
def test_import_strings_that_do_not_resolve(
    make_client: MakeClient, app: str, factory: bool, cause: type[Exception], words: str
) -> None:
    with pytest.raises(AppStartupError, match=words) as caught:
        make_client(app, factory=factory).get("/")
    assert type(caught.value.__cause__) is cause
    with pytest.raises(AppStartupError, match=words), make_client(app, factory=factory):
        pytest.fail("the block must not run")


@pytest.mark.modes("fork", "forkserver", "thread")
@pytest.mark.backends("asyncio")
def test_closing_what_could_not_be_loaded_is_no_crash(make_client: MakeClient) -> None:
    client = make_client("no_such_package:app")
    client.pid  # noqa: B018  # starts it, and waits for nothing
    with contextlib.suppress(AppStartupError):  # it may be told, or not
        client.close()


@pytest.mark.modes("forkserver", "thread")
@pytest.mark.backends("asyncio")
@pytest.mark.usefixtures("_shop_is_forgotten")
def test_a_module_that_is_mended_meanwhile(make_client: MakeClient, shop: Path) -> None:
    client = make_client("shop_for_start.later:app")
    with pytest.raises(AppStartupError, match="later"):
        client.get("/")
    (shop / "shop_for_start" / "later.py").write_text("from shop_for_start.main import app\n")
    import importlib

    importlib.invalidate_caches()
    assert client.get("/").text == "from the shop"


@pytest.mark.backends("asyncio")
def test_a_factory_that_is_an_object(make_client: MakeClient, cell: Cell) -> None:
    def make() -> Any:
        name = str(os.getpid()).encode()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": name})

        return app

    client = make_client(make, factory=True)
    assert client.get("/").text == str(client.pid)  # it is called over there

    def fail() -> Any:
        raise LookupError("no configuration")

    with pytest.raises(AppStartupError, match="no configuration") as caught:
        make_client(fail, factory=True).get("/")
    assert isinstance(caught.value.__cause__, LookupError)


# -- apps that can't be sent


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_apps_that_cannot_be_sent(make_client: MakeClient) -> None:
    class App:
        def __init__(self, **parts: object) -> None:
            self.config = parts

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)

    with pytest.raises(ObjectNotSendable, match=r"app.*config.*'guard'.*lock"):
        make_client(App(guard=threading.Lock())).get("/")
    with socket.socket() as open_socket, pytest.raises(ObjectNotSendable, match=r"app.*config.*'peer'.*socket"):
        make_client(App(peer=open_socket)).get("/")

    lock = threading.Lock()

    async def closure(scope: Scope, receive: Receive, send: Send) -> None:
        with lock:
            await hello(scope, receive, send)

    with pytest.raises(ObjectNotSendable, match=r"app.*closure variable 'lock'"):
        make_client(closure).get("/")
    with pytest.raises(ObjectNotSendable, match=r"loop_factory"):
        make_client(hello, backend_options={"loop_factory": functools.partial(lock.acquire)}).get("/")


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio")
def test_a_snapshot_needs_nothing_to_be_sent(make_client: MakeClient) -> None:
    lock = threading.Lock()
    with socket.socket() as open_socket:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with lock:
                assert open_socket.fileno() >= 0
                await hello(scope, receive, send)

        assert make_client(app).get("/").text == "Hello, world!"


# -- apps of every kind


class Importable:
    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": self.name.encode()})

    async def method(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self(scope, receive, send)

    @staticmethod
    async def static(scope: Scope, receive: Receive, send: Send) -> None:
        await Importable("static")(scope, receive, send)

    @classmethod
    async def of_class(cls, scope: Scope, receive: Receive, send: Send) -> None:
        await cls("of class")(scope, receive, send)


async def configured(name: str, scope: Scope, receive: Receive, send: Send) -> None:
    await Importable(name)(scope, receive, send)


class SeedApp:
    """As the seed has it: ASGI 2, where the class is the app."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ASGI 2 " + self.scope["path"].encode()})


def double(scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
    async def instance(receive: Receive, send: Send) -> None:
        await Importable("double")(scope, receive, send)

    return instance


class Doubled:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
        return functools.partial(Importable(self.name), scope)


async def starred(*args: Any) -> None:
    await Importable("starred")(*args)


@pytest.mark.modes("fork", "forkserver", "thread")  # on the way to a fresh interpreter, it does not matter whose
@pytest.mark.backends("asyncio")
@pytest.mark.parametrize(
    ("app", "text"),
    [
        (hello, "Hello, world!"),
        (Importable("an instance"), "an instance"),
        (Importable("bound").method, "bound"),
        (Importable.static, "static"),
        (Importable.of_class, "of class"),
        (functools.partial(configured, "partial"), "partial"),
        (lambda scope, receive, send: hello(scope, receive, send), "Hello, world!"),
        (SeedApp, "ASGI 2 /"),
        (double, "double"),
        (Doubled("doubled"), "doubled"),
        (functools.partial(lambda name, scope: Doubled(name)(scope), "partial double"), "partial double"),
        (starred, "starred"),
    ],
)
def test_apps_of_every_kind(make_client: MakeClient, app: Any, text: str) -> None:
    assert make_client(app).get("/").text == text


@pytest.mark.backends("asyncio")
def test_locals_and_closures(make_client: MakeClient) -> None:
    greeting = "from the closure"

    class Base:
        suffix = "!"

    class Local(Base):
        def __init__(self, scope: Scope) -> None:
            self.path = scope["path"]

        async def __call__(self, receive: Receive, send: Send) -> None:
            await Importable(f"{greeting} {self.path}{super().suffix}")({}, receive, send)

    async def local(scope: Scope, receive: Receive, send: Send) -> None:
        async def inner() -> None:
            await Importable(greeting)(scope, receive, send)

        await inner()

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def loud(message: dict[str, Any]) -> None:
                await send({**message, "body": message["body"].upper()} if "body" in message else message)

            await self.app(scope, receive, loud)

    assert make_client(Local).get("/x").text == "from the closure /x!"
    assert make_client(local).get("/").text == "from the closure"
    assert make_client(Middleware(local)).get("/").text == "FROM THE CLOSURE"


def test_the_double_callable_of_the_seed_serves_everything(make_client: MakeClient) -> None:
    class App:
        def __init__(self, scope: Scope) -> None:
            self.scope = scope

        async def __call__(self, receive: Receive, send: Send) -> None:
            if self.scope["type"] == "lifespan":
                await receive()
                self.scope["state"]["greeting"] = "Hello, world!"
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            elif self.scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.send", "text": self.scope["state"]["greeting"]})
                await send({"type": "websocket.close"})
            else:
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": self.scope["state"]["greeting"].encode()})

    with make_client(App) as client:
        response = client.get("/")
        assert response.status_code == 200
        assert response.text == "Hello, world!"
        with client.websocket_connect("/") as websocket:
            data = websocket.receive_text()
            assert data == "Hello, world!"


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.backends("asyncio")
def test_an_app_of_the_main_module(cell: Cell, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from isoclient import TestClient\n"
        "GREETING = 'of main'\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': GREETING.encode()})\n"
        "if __name__ == '__main__':\n"
        f"    with TestClient(app, timeout=30, **{cell.options!r}) as client:\n"
        "        print(client.get('/').text)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("of main\n", "")
