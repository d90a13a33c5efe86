"""``breakpoint()`` in an app opens a prompt in the terminal of the test run, and the app goes on afterwards."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from time import sleep

import pytest

from tests.debugging.session import RunPytest, Session, StartPytest

APP = """
import pdb
from isoclient import TestClient

async def respond(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    print("printed before")
    price = 40
    breakpoint()
    price += 1
    price += 1
    print("printed after")
    await respond(send, b"%d" % price)
"""

MODES = {
    "fork": {"isolated": True, "start_method": "fork"},
    "forkserver": {"isolated": True, "start_method": "forkserver"},
    "spawn": {"isolated": True, "start_method": "spawn"},
    "thread": {"isolated": False},
}

IMMEDIATE = sys.version_info >= (3, 13)  # there pdb stops at the breakpoint itself; before, at the line after it


def stop_before(line: str) -> str:
    """What pdb shows where it stops at a breakpoint before this line."""
    return "-> breakpoint()" if IMMEDIATE else f"-> {line}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def write_test(project: Path, source: str) -> None:
    (project / "test_shop.py").write_text("import os, pdb, pytest\nfrom shop import *\n" + source)


@pytest.mark.parametrize("options", [(), ("-s",)], ids=["captured", "not captured"])
def test_the_prompt_works_in_every_mode(start_pytest: StartPytest, project: Path, options: tuple[str, ...]) -> None:
    write_test(
        project,
        f"""
@pytest.mark.parametrize("options", {[*MODES.values()]})
def test_price(options, capsys):
    with TestClient(app, **options) as client:
        assert client.get("/").text == "42"
        assert client.get("/").text == "42"
        assert capsys.readouterr().out == "printed before\\nprinted after\\n" * 2
""",
    )

    with start_pytest(*options, cwd=project) as session:
        for _ in MODES:
            assert stop_before("price += 1") in session.prompt()
            assert "\n40\n" in session.ask("p price")
            for _ in range(1 + IMMEDIATE):
                assert "-> price += 1" in session.ask("next")
            assert "\n41\n" in session.ask("p price")
            assert "shop.py(" in session.ask("where")
            assert stop_before("price += 1") in session.ask("continue")  # of the second request
            assert "\n40\n" in session.ask("p price")
            session.type("continue")
        code, text = session.end()

    assert (code, "4 passed" in text) == (0, True), text


def test_a_prompt_says_whose_it_is_and_shows_the_apps_frames_alone(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_price(method):
    assert TestClient(app, isolated=True, start_method=method).get("/").text == "42"
""",
    )

    with start_pytest(cwd=project) as session:
        for method in "fork", "forkserver":
            opened = session.prompt()
            whose = rf"\nisoclient: shop:app \(pid \d+\), for test_shop\.py::test_price\[{method}\]\n> "
            assert re.search(whose, opened), opened
            stack = session.ask("where")
            assert "shop.py(" in stack
            assert "isoclient/" not in stack
            assert not re.search(r"site-packages|test_shop\.py", stack)
            assert "asyncio" not in stack
            assert "isoclient: " not in session.ask("next")
            session.type("continue")
        code, text = session.end()

    assert (code, "2 passed" in text) == (0, True), text


def test_it_works_on_every_backend(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
@pytest.mark.parametrize("options", [{"backend": "trio"}, {"backend_options": {"use_uvloop": True}}])
def test_price(options):
    with TestClient(app, isolated=True, **options) as client:
        assert client.get("/").text == "42"
""",
    )

    with start_pytest(cwd=project) as session:
        for _ in "trio", "uvloop":
            session.prompt()
            assert "\n40\n" in session.ask("p price")
            session.type("continue")
        code, text = session.end()

    assert (code, "2 passed" in text) == (0, True), text


def test_no_deadline_passes_meanwhile(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
@pytest.mark.parametrize("isolated", [True, False])
def test_price(isolated):
    with TestClient(app, isolated=isolated) as client:
        assert client.get("/", timeout=1.5).text == "42"
""",
    )

    with start_pytest(cwd=project) as session:
        for _ in True, False:
            session.prompt()
            sleep(1.7)  # somebody thinks, for longer than the deadline
            assert "\n40\n" in session.ask("p price")
            session.type("continue")
        code, text = session.end()

    assert (code, "2 passed" in text) == (0, True), text


def test_it_works_wherever_the_app_runs(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
import threading

async def everywhere(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        place = "startup"
        breakpoint()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        place = "shutdown"
        pdb.set_trace()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        place = "websocket"
        breakpoint()
        await send({"type": "websocket.close"})
    else:
        await respond(send, b"")
        place = "background"
        pdb.set_trace(header="a header")
        place = None

def called():
    place = "call"
    breakpoint()
    return "returned"

async def in_a_thread():
    import asyncio
    return await asyncio.to_thread(called)

def test_all():
    with TestClient(everywhere, isolated=True) as client:
        with client.websocket_connect("/") as socket:
            assert socket.receive()["type"] == "websocket.close"
        client.get("/")
        assert client.call(called) == "returned"
        assert client.call(in_a_thread) == "returned"
""",
    )

    with start_pytest(cwd=project) as session:
        for place in ("startup", "websocket", "background", "call", "call", "shutdown"):
            shown = session.prompt()
            assert ("a header" in shown) == (place == "background")
            assert f"\n'{place}'\n" in session.ask("p place")
            session.type("continue")
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text


def test_an_app_may_stop_while_it_is_imported(start_pytest: StartPytest, project: Path) -> None:
    (project / "stopping.py").write_text("from shop import app\nplace = 'import'\nbreakpoint()\nplace = None\n")
    write_test(
        project,
        """
def test_price():
    with TestClient("stopping:app", isolated=True) as client:
        assert client.get("/").text == "42"
""",
    )

    with start_pytest(cwd=project) as session:
        session.prompt()
        assert "\n'import'\n" in session.ask("p place")
        assert stop_before("price += 1") in session.ask("continue")
        session.type("continue")
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text


def test_a_client_of_an_earlier_test_and_two_breakpoints_in_a_row(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
async def twice(scope, receive, send):
    if scope["path"] == "/stop":
        first = 1
        breakpoint()
        breakpoint()
        second = 2
    await respond(send, b"fine")

@pytest.fixture(scope="session")
def client():
    with TestClient(twice, isolated=True) as client:
        yield client

@pytest.mark.parametrize("path", ["/", "/stop", "/", "/stop"])
def test_it(client, path):
    assert client.get(path).text == "fine"
""",
    )
    with start_pytest(cwd=project) as session:
        for _ in range(2):
            assert "-> breakpoint()" in session.prompt()
            assert "\n1\n" in session.ask("p first")
            assert stop_before("second = 2") in session.ask("continue")
            assert not IMMEDIATE or "-> second = 2" in session.ask("step")
            assert "-> await respond" in session.ask("step")
            assert "-> async def respond" in session.ask("step")
            assert "-> await send" in session.ask("step")
            assert "-> await send" in session.ask("step")  # and not into isoclient
            assert "--Return--" in session.ask("step")
            session.type("continue")
        code, text = session.end()

    assert (code, "4 passed" in text) == (0, True), text


def test_quit_ends_the_request(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
import bdb

def test_price():
    client = TestClient(app, isolated=True)
    with pytest.raises(bdb.BdbQuit):
        client.get("/")
    assert client.get("/").text == "42"
    client.close()
""",
    )

    with start_pytest(cwd=project) as session:
        session.prompt()
        assert stop_before("price += 1") in session.ask("quit")
        session.type("continue")
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text


def test_it_works_in_a_script(project: Path) -> None:
    (project / "script.py").write_text(
        "from shop import *\nwith TestClient(app, isolated=True) as client:\n    print('got', client.get('/').text)\n"
    )

    with Session.of(sys.executable, "script.py", cwd=project) as session:
        assert "printed before" in session.prompt()
        assert "\n40\n" in session.ask("p price")
        session.type("continue")
        code, text = session.end()

    assert (code, "got 42" in text) == (0, True), text


def test_an_app_that_dies_at_its_prompt_leaves_the_terminal_as_it_was(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
from isoclient import AppCrashed

def test_price():
    client = TestClient(app, isolated=True)
    with pytest.raises(AppCrashed, match="SIGKILL"):
        client.get("/")
    line = "the test's own"
    breakpoint()
    assert client.get("/").text == "42"
    client.close()
""",
    )

    with start_pytest(cwd=project) as session:
        session.prompt()
        session.type("import os; os.kill(os.getpid(), 9)")
        assert stop_before("assert client.get") in session.prompt()
        assert "the test's own" in session.ask("p line")
        assert stop_before("price += 1") in session.ask("continue")
        session.type("continue")
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text


def test_ctrl_c_is_for_whoever_has_the_terminal(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
import asyncio

async def slow(scope, receive, send):
    breakpoint()
    with open("/dev/tty", "w") as terminal:
        terminal.write("it goes on")
    while True:
        await asyncio.sleep(0.01)

def test_price():
    TestClient(slow, isolated=True).get("/")
""",
    )

    with start_pytest(cwd=project) as session:
        session.prompt()
        assert "KeyboardInterrupt" in session.interrupt_prompt()
        session.press("z")  # nothing: no shell would ever wake it up
        assert "\n2\n" in session.ask("p 1 + 1")
        session.type("continue")
        session.until("it goes on")
        session.press("c")
        code, text = session.end()

    assert (code, "!!! KeyboardInterrupt !!!" in text) == (2, True), text


def test_pythonbreakpoint_is_obeyed(start_pytest: StartPytest, project: Path) -> None:
    write_test(project, "def test_price():\n    assert TestClient(app, isolated=True).get('/').text == '42'\n")

    with start_pytest(cwd=project, PYTHONBREAKPOINT="0") as session:
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_without_a_terminal_it_is_an_error(run_pytest: RunPytest, project: Path, mode: str) -> None:
    write_test(
        project, f"def test_price():\n    with TestClient(app, **{MODES[mode]}) as client:\n        client.get('/')\n"
    )

    code, text = run_pytest(project)

    assert code == 1
    assert "RuntimeError: a debugger can't have its prompt where there is no terminal. Run that test alone" in text


def test_in_a_worker_of_xdist_it_is_an_error(start_pytest: StartPytest, project: Path) -> None:
    write_test(project, "def test_price():\n    TestClient(app, isolated=True).get('/')\n")

    with start_pytest("-pxdist", "-n1", cwd=project) as session:
        code, text = session.end()

    assert code == 1
    assert "RuntimeError: a debugger can't have its prompt in a worker of pytest-xdist" in text


def test_in_a_process_that_the_app_has_forked_it_is_an_error(start_pytest: StartPytest, project: Path) -> None:
    write_test(
        project,
        """
def forks():
    pid = os.fork()
    if pid == 0:
        try:
            pdb.set_trace()
            os._exit(0)
        except RuntimeError as error:
            os._exit(7 if "which the app has forked" in str(error) else 8)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def test_it():
    assert TestClient(app, isolated=True).call(forks) == 7
""",
    )

    with start_pytest(cwd=project) as session:
        code, text = session.end()

    assert (code, "1 passed" in text) == (0, True), text
