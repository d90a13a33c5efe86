"""Apps given as import strings: imported once, by whoever comes first, where nobody can tell; else by each client anew.

``IMPORTER`` in the app's module is the process that has imported it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoclient import AppCrashed, AppNotFound, AppStartupError, Limits, TestClient
from isoclient.process.launch import templates
from isoclient.process.templates import Templates
from tests.process.conftest import Module, ask

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="templates need pidfds, which are Linux's")


# -- one import, and a fresh copy for each


def test_the_app_is_imported_once_and_each_client_has_a_fresh_copy(module: Module) -> None:
    with module.client() as one, module.client() as two, module.client() as three:
        assert [ask(one, "served"), ask(one, "served")] == [1, 2]
        assert ask(two, "served") == 1
        assert len({one.pid, two.pid, three.pid}) == 3
        assert ask(three, "(served, IMPORTER, os.getpid())") == (1, one.pid, three.pid)


def test_so_it_is_with_a_factory_which_is_called_for_each(module: Module) -> None:
    module.write("made = []\ndef make():\n    made.append(os.getpid())\n    return app\n")
    for _ in range(3):
        with TestClient(f"{module.name}:make", factory=True, isolated=True) as client:
            assert ask(client, "made") == [client.pid]
    assert ask(client, "IMPORTER") != client.pid


def test_what_anyio_imports_at_its_first_use_is_imported_with_it(module: Module) -> None:
    module.write("import anyio")
    late = "'anyio._backends._asyncio' in __import__('sys').modules"
    assert [module.ask(f"({late}, IMPORTER == os.getpid())") for _ in range(2)] == [(True, True), (True, False)]


@pytest.mark.parametrize("options", [{"use_uvloop": True}, {"debug": True}], ids=repr)
def test_so_it_is_with_other_loops(module: Module, options: dict[str, bool]) -> None:
    assert module.is_imported_once(backend_options=options)


def test_a_client_that_starts_again_after_a_crash_does_not_import_again(module: Module) -> None:
    client = module.client()
    with client:
        first = client.pid
        with pytest.raises(AppCrashed) as caught:
            ask(client, "os.kill(os.getpid(), 9)")
        assert caught.value.signal == signal.SIGKILL
        assert ask(client, "(served, IMPORTER)") == (1, first)
        with pytest.raises(AppCrashed) as caught:
            ask(client, "os._exit(3)")
        assert caught.value.exitcode == 3  # which the template tells
        assert ask(client, "(served, IMPORTER)") == (1, first)


def test_what_the_import_says_is_said_to_each(
    module: Module, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    module.write(
        """
        import logging, sys, warnings
        print("to stdout")
        logging.getLogger("shop").warning("to the log")
        print("to stderr", file=sys.stderr)
        warnings.warn("to whom it may concern", stacklevel=1)
        """
    )
    for _ in range(3):
        caplog.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            was_imported_there = module.ask("IMPORTER == os.getpid()")
        assert [str(warning.message) for warning in caught] == ["to whom it may concern"]
        assert capfd.readouterr() == ("to stdout\n", "to stderr\n")
        assert caplog.record_tuples == [("shop", logging.WARNING, "to the log")]
    assert was_imported_there is False


def test_what_the_import_has_set_up_is_there_for_each(
    module: Module, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module.write(
        """
        import atexit, logging, signal, sys
        os.environ["SHOP_SET_AT_IMPORT"] = "yes"
        sys.path.append("/set/at/import")
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        atexit.register(print, "bye")
        logging.getLogger("shop").setLevel("DEBUG")
        """
    )
    seen = (
        "os.environ['SHOP_SET_AT_IMPORT'], sys.path[-1], os.getcwd(), logging.getLogger('shop').level,"
        "signal.getsignal(signal.SIGTERM).name, signal.getsignal(signal.SIGCHLD).name"
    )
    expected = ("yes", "/set/at/import", "/", logging.DEBUG, "SIG_IGN", "SIG_IGN")
    for _ in range(3):
        assert module.ask(seen) == expected
        assert capfd.readouterr().out == "bye\n"
    assert module.ask("IMPORTER == os.getpid()") is False


def test_the_environment_is_of_the_test_that_runs(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    for phase in ("setup", "call", "teardown"):
        monkeypatch.setenv("PYTEST_CURRENT_TEST", f"test_shop.py::test ({phase})")
        assert module.ask("os.environ['PYTEST_CURRENT_TEST']") == f"test_shop.py::test ({phase})"
    assert module.ask("IMPORTER == os.getpid()") is False


def test_a_test_of_a_long_name_has_its_client_too(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "short")
    module.ask()
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "x" * 100_000)
    assert module.ask("len(os.environ['PYTEST_CURRENT_TEST']), IMPORTER == os.getpid()") == (100_000, True)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "short")
    assert module.ask("IMPORTER == os.getpid()") is False


def test_a_process_of_the_app_has_none_of_our_descriptors(module: Module) -> None:
    inherited = "__import__('subprocess').check_output(['ls', '/proc/self/fd'], close_fds=False).split()"
    *_, last = (module.ask(f"len({inherited})") for _ in range(3))
    assert last == 4  # the standard streams, and the listing


def test_no_copy_has_descriptors_that_another_has_not(module: Module) -> None:
    first, second, *_, last = (module.ask("sorted(os.listdir('/proc/self/fd'))") for _ in range(6))
    assert first == second == last


def test_after_a_fork_of_the_tests_process_there_are_others(module: Module) -> None:
    assert module.is_imported_once()
    pid = os.fork()
    if pid == 0:
        os._exit([module.ask("IMPORTER == os.getpid()") for _ in range(2)] != [True, False])
    assert os.waitpid(pid, 0)[1] == 0
    assert module.ask("IMPORTER == os.getpid()") is False


# -- imports that do more than to read


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", id="thread"
        ),
        pytest.param("import subprocess; subprocess.run(['true'])", id="subprocess"),
        pytest.param("child = os.fork() or os._exit(0)", id="fork"),
        pytest.param("import socket; listener = socket.create_server(('127.0.0.1', 0))", id="listening socket"),
        pytest.param("reading, writing = os.pipe()", id="pipe"),
        pytest.param("file = open(os.devnull)", id="open file"),
        pytest.param("open('written_at_import', 'w').close()", id="written file"),
        pytest.param("import tempfile; directory = tempfile.mkdtemp()", id="temporary directory"),
        pytest.param("os.makedirs('made_at_import', exist_ok=True)", id="directory"),
        pytest.param("import sqlite3; sqlite3.connect('shop.db').close()", id="database"),
        pytest.param("import mmap; shared = mmap.mmap(-1, 4096)", id="shared memory"),
        pytest.param("import multiprocessing; lock = multiprocessing.Lock()", id="semaphore"),
        pytest.param("import random; random.seed(42)", id="seed"),
        pytest.param("print('x' * 5_000_000)", id="more output than is kept"),
        pytest.param("import signal; signal.setitimer(signal.ITIMER_VIRTUAL, 1000)", id="timer"),
        pytest.param("import asyncio; loop = asyncio.get_event_loop()", id="kept loop"),
        pytest.param("import asyncio; asyncio.get_event_loop().set_debug(True)", id="set up loop"),
        pytest.param("import asyncio; asyncio.get_event_loop().call_soon(print)", id="scheduled call"),
    ],
)
def test_an_import_that_does_more_than_to_read_is_made_for_each(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    module.write(deed)
    assert not module.is_imported_once()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"backend_options": {"loop_factory": asyncio.SelectorEventLoop}}, id="loop of the user's"),
        pytest.param({"backend": "trio"}, id="trio"),
        pytest.param({"limits": Limits(open_files=200)}, id="limits"),
        pytest.param({"start_method": "spawn"}, id="spawn"),
    ],
)
def test_so_it_is_where_a_fork_would_not_do(module: Module, options: dict[str, object]) -> None:
    assert not module.is_imported_once(**options)


def test_what_has_shown_that_it_does_more_is_not_watched_again(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    expected: list[bool] = []

    def expect(*args: Any) -> Any:
        made = Templates.expect(templates, *args)
        expected.append(made is not None)
        return made

    monkeypatch.setattr(templates, "expect", expect)
    module.write("reading, writing = os.pipe()")
    assert not module.is_imported_once()
    assert expected == [True, False, False]


@pytest.mark.parametrize(
    ("deed", "options", "why"),
    [
        ("reading, writing = os.pipe()", {}, "importing it leaves an open file or socket"),
        ("os.system('')", {}, "importing it does more than to read: os.system b''"),
        ("", {"backend": "trio"}, "trio would not do in a fork"),
    ],
)
def test_why_it_is_imported_once_more_is_logged(
    module: Module, caplog: pytest.LogCaptureFixture, deed: str, options: dict[str, object], why: str
) -> None:
    module.write(deed)
    with caplog.at_level(logging.DEBUG, "isoclient"):
        assert not module.is_imported_once(**options)
    app = f"{module.name}:app"
    assert caplog.messages[-1] == f"{app} is imported, and not forked from a template: {why}"


def test_so_is_what_has_changed(module: Module, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "isoclient"):
        assert module.is_imported_once()
        assert caplog.messages == []
        module.write("version = 'two'\n")
        module.ask()
    assert caplog.messages == [
        f"{module.name}:app is imported, and not forked from a template: {module.path} has changed since"
    ]


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(
            "import threading; t = threading.Thread(target=print); t.start(); t.join()", id="thread that ended"
        ),
        pytest.param("open(__file__).close()", id="read file"),
        pytest.param("open(os.devnull, 'w').close()", id="nowhere"),
        pytest.param("os.listdir('.')", id="listing"),
        pytest.param("import sqlite3; database = sqlite3.connect(':memory:')", id="database in memory"),
        pytest.param("import asyncio; lock = asyncio.Lock()", id="lock"),
        pytest.param("__import__('sys').modules.pop('urllib3', None); import urllib3", id="urllib3"),
        pytest.param("import random, uuid; numbers = uuid.uuid4(), random.random()", id="random"),
        pytest.param("import types; __import__('sys').modules['odd'] = types.SimpleNamespace()", id="odd module"),
    ],
)
def test_one_that_but_reads_is_made_once(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    module.write(deed)
    assert module.is_imported_once()


def test_a_failure_is_told_to_each(module: Module) -> None:
    module.write("raise LookupError('no such setting')")
    for _ in range(3):
        with pytest.raises(AppStartupError) as caught:
            module.ask()
        assert isinstance(caught.value.__cause__, LookupError)
    module.path.unlink()
    with pytest.raises(AppStartupError) as caught:
        module.ask()
    assert isinstance(caught.value.__cause__, AppNotFound)


# -- what makes another import of it


def test_another_source_is_imported_anew(module: Module) -> None:
    assert module.is_imported_once()
    module.write("version = 'two'\n")
    assert module.ask("version, IMPORTER == os.getpid()") == ("two", True)
    assert module.ask("version, IMPORTER == os.getpid()") == ("two", False)


def test_so_it_is_where_files_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        monkeypatch.syspath_prepend(directory)
        module = Module(Path(directory))
        module.write()
        assert module.is_imported_once()
        module.write("version = 'two'\n")
        assert module.ask("version") == "two"


def test_another_content_of_a_file_that_was_read_is_read(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module.write(
        """
        try:
            with open(".env") as file:
                settings = file.read()
        except FileNotFoundError:
            settings = ""
        """
    )
    assert module.is_imported_once()
    Path(".env").write_text("DEBUG=1")  # it was looked for in vain
    assert module.ask("settings") == "DEBUG=1"
    Path(".env").write_text("DEBUG=0, and more")
    assert [module.ask("settings") for _ in range(3)] == ["DEBUG=0, and more"] * 3
    Path(".env").unlink()
    assert module.ask("settings") == ""


@pytest.mark.parametrize(
    "question", ["os.path.exists('.env')", "pathlib.Path('.env').is_file()", "os.access('.env', os.R_OK)"]
)
def test_a_file_that_was_asked_for_is_there_when_it_is(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.chdir(tmp_path)
    module.write(f"import pathlib\nfound = {question}\n")
    assert module.is_imported_once()
    Path(".env").write_text("")
    assert module.ask("found") is True


def test_a_file_with_the_same_size_and_time_is_another_one(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Path("settings.txt")
    settings.write_text("one")
    before = settings.stat()
    module.write("import pathlib\nsettings = pathlib.Path('settings.txt').read_text()\n")
    assert module.is_imported_once()
    settings.write_text("two")
    os.utime(settings, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert module.ask("settings") == "two"


def test_a_directory_of_the_same_name_is_another_one(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    for _ in range(3):
        place.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            (place / "file").write_text("")
            assert module.ask("os.listdir()") == ["file"]
        (place / "file").unlink()
        place.rmdir()


def test_a_module_that_was_looked_for_is_found_when_it_is_there(module: Module, tmp_path: Path) -> None:
    name = f"{module.name}_local"
    module.write(f"try:\n    import {name} as local\nexcept ImportError:\n    local = None\n")
    assert module.is_imported_once()
    (tmp_path / f"{name}.py").write_text("")
    assert module.ask("local is not None") is True


def test_what_else_comes_and_goes_beside_it_is_no_matter(module: Module, tmp_path: Path) -> None:
    assert module.is_imported_once()
    (tmp_path / "shop.db-journal").write_text("")
    assert module.ask("IMPORTER == os.getpid()") is False


@pytest.mark.parametrize("change", ["environment", "directory", "path", "arguments", "filters", "levels"])
def test_in_other_surroundings_it_is_imported_anew(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    assert module.is_imported_once()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        changes: dict[str, Callable[[], object]] = {
            "environment": lambda: patch.setenv("SHOP_SETTING", "1"),
            "directory": lambda: patch.chdir(tmp_path),
            "path": lambda: patch.setattr(sys, "path", [*sys.path, "/elsewhere"]),
            "arguments": lambda: patch.setattr(sys, "argv", ["shop"]),
            "filters": lambda: warnings.simplefilter("error", ImportWarning),
            "levels": lambda: patch.setattr(logging.getLogger("shop"), "level", logging.DEBUG),
        }
        changes[change]()
        assert module.ask("IMPORTER == os.getpid()") is True
    assert module.ask("IMPORTER == os.getpid()") is False
