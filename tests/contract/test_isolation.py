"""State is really apart: what the app does to its process is not seen in the test's. And what it sees of the test."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import multiprocess
import pytest

from isoclient import TestClient
from tests.processes import wait_gone

if TYPE_CHECKING:
    from tests.conftest import Cell, MakeClient, Receive, Scope, Send

ISOLATED = pytest.mark.modes("fork", "forkserver", "spawn")
pytestmark = pytest.mark.backends("asyncio")

module_global = "the test's"
orders: list[str] = []


class Shop:
    open = False
    orders: ClassVar[list[str]] = []


async def respond(send: Send, text: object = "") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(text).encode()})


@pytest.mark.rest("forkserver", "spawn")
@ISOLATED
def test_what_the_app_does_to_its_process(make_client: MakeClient, tmp_path: Path) -> None:
    directory = str(tmp_path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        global module_global
        module_global = "the app's"
        Shop.open = True
        Shop.orders.append("an order")
        os.environ["SHOP_SETTING"] = "the app's"
        os.chdir(directory)
        os.umask(0o077)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        logging.getLogger("shop").setLevel(logging.CRITICAL)
        logging.getLogger().addHandler(logging.NullHandler())
        json.dumps = lambda *_, **__: "patched"
        sys.path.append("/nowhere")
        sys.modules["shop_module"] = sys.modules["json"]
        sys.setrecursionlimit(5000)
        asyncio.set_event_loop_policy(None) if sys.version_info < (3, 14) else None
        await respond(send, [module_global, Shop.orders, os.getcwd(), json.dumps({}), os.environ["SHOP_SETTING"]])

    def state() -> list[Any]:
        mask = os.umask(0o022)
        os.umask(mask)
        return [
            module_global,
            Shop.open,
            list(Shop.orders),
            dict(os.environ),
            os.getcwd(),
            mask,
            signal.getsignal(signal.SIGUSR1),
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            logging.getLogger("shop").level,
            list(logging.getLogger().handlers),
            json.dumps({"a": 1}),
            list(sys.path),
            "shop_module" in sys.modules,
            sys.getrecursionlimit(),
            threading.active_count(),
        ]

    client = make_client(app)
    before = state()
    there = eval(client.get("/").content)
    assert there == ["the app's", ["an order"], directory, "patched", "the app's"]
    assert state() == before
    client.close()
    assert state() == before


@ISOLATED
def test_modules_that_the_app_imports(make_client: MakeClient, tmp_path: Path) -> None:
    directory = str(tmp_path)
    (tmp_path / "shop_only_there.py").write_text("number = 5\n")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sys.path.insert(0, directory)
        import shop_only_there  # type: ignore[import-not-found]

        await respond(send, shop_only_there.number)

    before = set(sys.modules)
    client = make_client(app)
    assert client.get("/").text == "5"
    # What this package imports for its own use is not meant.
    assert "shop_only_there" not in set(sys.modules) - before
    assert directory not in sys.path


@pytest.mark.rest("forkserver", "spawn")
@ISOLATED
def test_two_clients_share_nothing(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        Shop.orders.append(scope["path"])
        await respond(send, Shop.orders)

    one, two = make_client(app), make_client(app)
    assert one.get("/a").text == "['/a']"
    assert two.get("/b").text == "['/b']"
    assert one.get("/c").text == "['/a', '/c']"
    assert one.pid != two.pid


@pytest.mark.modes("fork")
def test_the_snapshot_is_taken_at_the_first_use(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, [module_global, os.environ.get("SHOP_SETTING"), Shop.orders, json.dumps(1), *orders])

    client = make_client(app)
    monkeypatch.setattr(f"{__name__}.module_global", "set by the test")
    monkeypatch.setenv("SHOP_SETTING", "set by the test")
    monkeypatch.setattr(Shop, "orders", ["made by the test"])
    monkeypatch.setattr(json, "dumps", lambda value: "patched by the test")
    seen = "['set by the test', 'set by the test', ['made by the test'], 'patched by the test']"
    assert client.get("/").text == seen
    global orders
    orders = ["later"]  # not by anything that is noticed
    assert client.get("/").text == seen
    client.restart()
    assert client.get("/").text == f"{seen[:-1]}, 'later']"
    orders = []


@pytest.mark.modes("forkserver", "spawn")
def test_of_the_tests_process_an_imported_app_gets_the_environment_the_cwd_and_the_path(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_for_isolation.py").write_text(
        "import os, sys\n"
        "value = 'as imported'\n"
        "async def app(scope, receive, send):\n"
        "    found = [value, os.environ.get('SHOP_SETTING'), os.environ.get('SHOP_GONE'), os.getcwd(), sys.path[0],\n"
        "             'pytest' in sys.modules]\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': repr(found).encode()})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SHOP_GONE", "1")
    make_client("shop_for_isolation:app").get("/")  # so that a fork server has this environment
    monkeypatch.delenv("SHOP_GONE")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_SETTING", "set by the test")
    import shop_for_isolation  # type: ignore[import-not-found]

    try:
        shop_for_isolation.value = "changed by the test"
        found = eval(make_client("shop_for_isolation:app").get("/").content)
    finally:
        del sys.modules["shop_for_isolation"]
    here = str(tmp_path)
    assert found == ["as imported", "set by the test", None, here, here, False]


def test_an_import_string_gets_a_clean_room_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_by_default.py").write_text(
        "import sys\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': repr('pytest' in sys.modules).encode()})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with TestClient("shop_by_default:app", isolated=True) as client:
        assert client.get("/").text == "False"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, "pytest" in sys.modules)

    with TestClient(app, isolated=True) as client:
        assert client.get("/").text == "True"


@ISOLATED
def test_the_app_runs_in_a_main_thread(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handler = signal.getsignal(signal.SIGINT)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        found = [
            threading.current_thread() is threading.main_thread(),
            threading.active_count(),
            handler is not signal.SIG_IGN,
            signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        ]
        loop.remove_signal_handler(signal.SIGUSR1)
        await respond(send, found)

    assert make_client(app).get("/").text == "[True, 1, True, True]"


@ISOLATED
def test_what_the_app_prints_comes_to_the_test(make_client: MakeClient, capfd: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        print("printed grün")
        print("to stderr", file=sys.stderr)
        os.write(1, b"by the descriptor\n")
        os.system("echo by a child")
        await respond(send)

    client = make_client(app)
    client.get("/")
    captured = capfd.readouterr()
    assert captured.out == "printed grün\nby the descriptor\nby a child\n"
    assert captured.err == "to stderr\n"


@ISOLATED
@pytest.mark.parametrize("kind", ["a pipe", "wrapped anew", "replaced", "closed"])
def test_standard_input_is_for_the_test_alone(cell: Cell, tmp_path: Path, kind: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import io, os, sys\n"
        "from sys import stdin\n"
        "from isoclient import TestClient\n"
        "async def app(scope, receive, send):\n"
        "    found = os.read(0, 100), sys.stdin.read(), sys.__stdin__.read(), stdin.read() if stdin else ''\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': repr(found).encode()})\n"
        "if __name__ == '__main__':\n"
        f"    if {kind!r} == 'wrapped anew':\n"
        "        sys.stdin = stdin = io.TextIOWrapper(sys.stdin.detach())\n"
        f"    if {kind!r} == 'replaced':\n"
        "        sys.stdin = io.StringIO()\n"
        "    print(stdin and stdin.readline())\n"
        f"    client = TestClient({'app' if cell.mode == 'fork' else repr('program:app')}, **{cell.options!r})\n"
        "    print(client.get('/').text)\n"
        "    client.close()\n"
        "    print(stdin and stdin.read())\n"
    )
    command = f"{sys.executable} {program}" + (" <&-" if kind == "closed" else "")
    text = "one\ntwo"
    done = subprocess.run(command, shell=True, input=text, capture_output=True, text=True, check=False, timeout=60)
    nothing = "(b'', '', '', '')"
    expected = f"None\n{nothing}\nNone\n" if kind == "closed" else f"one\n\n{nothing}\ntwo\n"
    assert (done.stdout, done.stderr) == (expected, "")


@ISOLATED
def test_without_standard_input_the_app_still_ends_with_the_test(cell: Cell, tmp_path: Path) -> None:
    """What is opened then gets that number, such as the app's lifeline, and nothing else ends an app like this one."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, os, signal, time\n"
        "from isoclient import TestClient\n"
        "def block():\n"
        "    open('blocked', 'w').close()\n"
        "    signal.pause()\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 204})\n"
        "    await send({'type': 'http.response.body'})\n"
        "    asyncio.get_running_loop().call_later(0.01, block)\n"
        "if __name__ == '__main__':\n"
        f"    client = TestClient('program:app', **{cell.options!r})\n"
        "    client.get('/')\n"
        "    print(client.pid, flush=True)\n"
        "    while not os.path.exists('blocked'):\n"
        "        time.sleep(0.005)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = f"exec {sys.executable} {program} <&-"
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as test:
        pid = int(test.communicate(timeout=60)[0])
    assert test.returncode == -signal.SIGKILL
    assert wait_gone(pid, 30)


@pytest.mark.modes("fork")
def test_the_tests_children_are_not_the_apps(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        own = multiprocess.get_context("fork").Process(target=os.getpid)
        own.start()
        own.join()
        found = multiprocess.active_children(), own.exitcode, multiprocess.parent_process().pid
        await respond(send, found)

    child = multiprocess.get_context("fork").Process(target=signal.pause)
    child.start()
    try:
        assert make_client(app).get("/").text == f"([], 0, {os.getpid()})"
    finally:
        child.terminate()
        child.join(10)
        child.close()


def test_nothing_of_the_test_runs_twice(cell: Cell, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import atexit, os, sys\n"
        "from isoclient import TestClient\n"
        "async def app(scope, receive, send):\n"
        "    if scope['path'] == '/exit':\n"
        "        sys.exit(3)\n"
        "    atexit.register(print, 'the app says good bye')\n"
        "    await send({'type': 'http.response.start', 'status': 204})\n"
        "    await send({'type': 'http.response.body'})\n"
        "def main():\n"
        "    atexit.register(print, 'exit handler')\n"
        "    sys.stdout.write('buffered; ')\n"
        "    try:\n"
        f"        client = TestClient(app, **{cell.options!r})\n"
        "        client.get('/')\n"
        "        client.close()\n"
        "        try:\n"
        "            client.get('/exit')\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__)\n"
        "        client.close()\n"
        "    finally:\n"
        "        print('finally')\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    expected = "buffered; the app says good bye\nAppCrashed\nfinally\nexit handler\n"
    if not cell.isolated:
        expected = "buffered; AppCrashed\nfinally\nthe app says good bye\nexit handler\n"
    assert (done.stdout, done.stderr, done.returncode) == (expected, "", 0)


@pytest.mark.modes("fork", "thread")
@pytest.mark.backends("asyncio", "uvloop", "trio")
@pytest.mark.parametrize("outer", ["asyncio", "trio"])
def test_a_client_used_under_a_running_loop(make_client: MakeClient, outer: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0)
        await respond(send, "from within")

    async def main() -> list[str]:
        events = []
        ours, theirs = socket.socketpair()
        with ours, theirs:

            async def wait() -> None:
                await anyio.wait_readable(ours)
                events.append(ours.recv(100).decode())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                # The loop out here has something registered with its selector while the app comes and goes.
                client = make_client(app)
                events.append(client.get("/").text)
                client.close()
                theirs.send(b"outside")
        return events

    assert anyio.run(main, backend=outer) == ["from within", "outside"]


@pytest.mark.rest("forkserver", "spawn")
@ISOLATED
def test_a_fork_that_the_app_makes_does_no_harm(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            await respond(send, "from the fork")
            return
        os.waitpid(pid, 0)
        await respond(send, "from the app")

    client = make_client(app)
    assert client.get("/").text == "from the app"
    assert client.get("/").text == "from the app"


@pytest.mark.modes("fork", "forkserver")
def test_a_client_belongs_to_the_process_that_made_it(make_client: MakeClient) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, os.getpid())

    client = make_client(app)
    there = int(client.get("/").text)
    reading, writing = os.pipe()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            found = int(client.get("/").text)
            client.close()
            os.write(writing, b"%d" % found)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        in_the_fork = int(pipe.read())
    os.waitpid(pid, 0)
    assert in_the_fork != there
    assert int(client.get("/").text) == there == client.pid
