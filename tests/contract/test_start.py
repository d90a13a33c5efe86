"""From what the user gives as the app to one that runs; or an error at once that says which part is wrong."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from isoclient import AppNotFound, AppStartupError, NotAnApp, TestClient
from isoclient.process.app_process import AppProcess
from tests.processes import wait_gone

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send


pytestmark = pytest.mark.modes("fork", "spawn", "forkserver", "thread")  # spawn first, so that a plain run has it


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
    pid = client.pid
    del client
    gc.collect()

    # That of a thread is the work of the fixture that looks for what is left.
    assert not cell.isolated or wait_gone(pid, 30)


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
