"""What is printed of a test that fails by its app, read in one real run of tests that fail in every way."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

import pytest

import isoclient
from tests.prepared import Prepared

SUITE: Final = Path(__file__).parent / "failing"


class Failures:
    """What has been printed of each test, by its name."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.warnings = text.partition(" warnings summary ")[2].partition("\n-- Docs: ")[0]
        parts = re.split(
            r"^_{3,} (?:ERROR at \w+ of )?(\S+) _{3,}$",
            re.split("=+ (?:warnings|short test) summary", text)[0],
            flags=re.M,
        )
        self._found = dict(zip(parts[1::2], parts[2::2], strict=True))

    def of(self, test: str) -> str:
        """That of this test, without what differs each time."""
        assert test in self._found, self._text
        found = re.sub(r"\bpid \d+", "pid 4711", self._found[test])
        return found.replace(str(Path(isoclient.__file__).parents[1]), "/lib")

    def errors_of(self, test: str) -> list[str]:
        """The lines that say what has been raised."""
        return [line.removeprefix("E").strip() for line in self.of(test).splitlines() if line.startswith("E  ")]


@pytest.fixture(scope="module")
def failures(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Failures:
    suite = shutil.copytree(SUITE, tmp_path_factory.mktemp("shop") / "suite")
    (suite / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    environment |= {"PYTHONPATH": str(Path(isoclient.__file__).parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = ["-pisoclient.plugin", "-pno:cacheprovider", "-W", "default", "--color=no"]
    done = prepared.run(options, cwd=suite, env=environment, timeout=100)
    return Failures(done.out + done.err)


def at(line: str, function: str) -> str:
    """How a line of the app is named."""
    [number] = [number for number, text in enumerate((SUITE / "shop.py").read_text().splitlines(), 1) if line in text]
    return f"shop.py:{number} in {function}"


# -- an app that ends its own process


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_an_exit_says_where(failures: Failures, method: str) -> None:
    [error] = failures.errors_of(f"test_exit[{method}]")
    called = f"called os._exit(3) at {at('os._exit(code)', 'hard_exit')}"
    assert error == f"isoclient.AppCrashed: the app {called}, while handling GET /exit (pid 4711)"
    assert f"\nIt {called}. It was " in failures.of(f"test_exit[{method}]")


@pytest.mark.parametrize(
    ("way", "call", "where"),
    [
        ("kill", "os.kill(os.getpid(), signal.SIGKILL)", at("os.kill(", "end_by")),
        ("terminate", "os.kill(os.getpid(), signal.SIGTERM)", at("os.kill(", "end_by")),
        ("refuse", "sys.exit('no such shop')", at("sys.exit(", "refuse")),
        ("abort", "os.abort()", at("os.abort()", "give_up")),
        ("raise", "signal.raise_signal(signal.SIGTERM)", at("raise_signal(", "<lambda>")),
        ("thread", "os._exit(5)", at("os._exit(code)", "hard_exit")),
    ],
)
def test_so_does_each_other_way(failures: Failures, way: str, call: str, where: str) -> None:
    test = f"test_ends[{way}]"
    last = f"isoclient.AppCrashed: the app called {call} at {where}, while handling GET /{way} (pid 4711)"
    assert last in failures.errors_of(test), failures.of(test)
    assert f"\nIt called {call} at {where}. It was " in failures.of(test)


def test_a_child_of_the_app_is_not_the_app(failures: Failures) -> None:
    """It had killed itself; the app was killed by the test."""
    [error] = failures.errors_of("test_a_child_of_the_app_is_not_the_app")
    assert error == "isoclient.AppCrashed: the app died of SIGKILL while handling GET / (pid 4711)"


def test_in_the_tests_process(failures: Failures) -> None:
    [_, error] = failures.errors_of("test_refuse_in_process")
    called = f"called sys.exit('no such shop') at {at('sys.exit(', 'refuse')}"
    assert error.startswith(
        f"isoclient.AppCrashed: the app {called}, while handling GET /refuse (pid 4711, the test's "
    )


def test_behind_another_client(failures: Failures) -> None:
    error = failures.errors_of("test_exit_behind_another_client")[-1]
    called = f"called os._exit(3) at {at('os._exit(code)', 'hard_exit')}"
    assert error == f"isoclient.AppCrashed: the app {called}, while handling GET /exit (pid 4711)"


# -- a hang


@pytest.mark.parametrize("test", ["test_waits[hang-fork]", "test_waits[hang-forkserver]", "test_waits_in_process"])
def test_a_hang_says_where_the_app_waits(failures: Failures, test: str) -> None:
    first = failures.errors_of(test)[0]
    waits = f"it waits at {at('asyncio.Event().wait()  # for ever', 'hang')}"
    assert first == f"isoclient.AppTimeout: the app sent nothing for 0.3 s while handling GET /hang; {waits}"
    text = failures.of(test)
    assert text.count("await asyncio.Event().wait()  # for ever") == 1
    assert "Its stack" not in text
    assert "run_forever" not in text


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_blocked_loop_says_what_that_means(failures: Failures, method: str) -> None:
    test = f"test_waits[block-{method}]"
    first = failures.errors_of(test)[0]
    assert f"; its event loop is stuck at {at('time.sleep(60)  # for all', 'block')}, so its process was ended" in first
    assert "a blocking call in an `async def` stops all requests" in first
    assert failures.of(test).count("in block\n") == 1


# -- a breach of the protocol


@pytest.mark.parametrize("isolated", [True, False])
def test_a_breach_ends_at_the_apps_line(failures: Failures, isolated: bool) -> None:
    text = failures.of(f"test_breach[early-{isolated}]")
    where, _ = at('{"type": "http.response.body", "body": b""}', "answer_early").split(" in ")
    assert text.rstrip().partition("\n---")[0].rstrip().endswith(f"\n{where}: AppProtocolError")
    assert not re.search(r"isoclient/\w+/", text)


@pytest.mark.parametrize("isolated", [True, False])
def test_what_is_missing_has_a_place(failures: Failures, isolated: bool) -> None:
    [error] = failures.errors_of(f"test_breach[nothing-{isolated}]")
    of_app = at("async def app(", "app")
    assert error == (
        "isoclient.AppProtocolError: the app returned without sending a response, "
        f"from {of_app} (handling GET /nothing)"
    )


# -- a startup that fails


def test_a_startup_says_whose(failures: Failures) -> None:
    raised = "ConnectionRefusedError: no database at db"
    assert failures.errors_of("test_startup[True]") == [raised, "in the startup of shop:app_with_database (pid 4711)"]
    assert failures.errors_of("test_startup[False]") == [raised, "in the startup of shop:app_with_database"]
    assert "\nIt was ended, for its startup failed. It was a copy " in failures.of("test_startup[True]")


def test_a_startup_that_says_so(failures: Failures) -> None:
    text = failures.of("test_startup_that_says_so")
    assert failures.errors_of("test_startup_that_says_so") == [
        "isoclient.AppStartupError: lifespan startup failed: no database",
        "in the startup of shop:app_that_says_so (pid 4711)",
    ]
    assert not re.search(r"isoclient/\w+/", text)
    assert "\nIt was ended, for its startup failed. " in text


def test_a_startup_behind_another_client(failures: Failures) -> None:
    text = failures.of("test_startup_behind_another_client")
    assert "E       in the startup of shop:app_with_database (pid 4711)\n" in text
    assert "its startup failed. It " in text


# -- an exception


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_an_exception_shows_the_arguments(failures: Failures, method: str) -> None:
    text = failures.of(f"test_exception[{method}]")
    assert "\nself = Till(), card = 'silver', amount = 4, currency = 'EUR'\n\n    def charge(self, card" in text
    assert "limit = " not in text.replace("limit = 3", "")


# -- client.call


@pytest.mark.parametrize(
    ("test", "part", "expression"),
    [
        ("test_result", "<unlocked _thread.lock ", "threading.Lock()"),
        ("test_result_of_a_function", "['lock']: ", "make_"),
    ],
)
def test_a_result_that_cannot_cross_says_what_to_write(
    failures: Failures, test: str, part: str, expression: str
) -> None:
    [error] = failures.errors_of(test)
    assert error.startswith(f"isoclient.ObjectNotSendable: the result can't come back to the test: {part}")
    assert f"return what the test needs of it instead: client.call(lambda: repr({expression}" in error
    assert "create it in the function" not in error
    assert not re.search(r"isoclient/\w+/|TypeError", failures.of(test))


# -- apps that can't be loaded


@pytest.mark.parametrize("test", ["test_import[without_settings:app]", "test_import_of_a_template"])
def test_what_a_module_raises_has_no_frames_of_pythons_import(failures: Failures, test: str) -> None:
    text = failures.of(test)
    assert "E       LookupError: no settings prod\n\nwithout_settings.py:7: LookupError\n" in text
    assert "importlib" not in text
    assert "\nname = 'prod'\n" in text
    assert "\nIt has ended, for the app could not be loaded. It was " in text


@pytest.mark.parametrize("where", ["no_such_shop:app", "shop:no_app"])
def test_an_import_string_that_names_nothing(failures: Failures, where: str) -> None:
    [error] = failures.errors_of(f"test_import[{where}]")
    assert error.startswith(f"isoclient.AppStartupError: the app could not be loaded: AppNotFound: '{where}': ")
    assert len(failures.of(f"test_import[{where}]").splitlines()) < 20


def test_an_app_that_cannot_cross_has_a_message_alone(failures: Failures) -> None:
    text, errors = failures.of("test_unpicklable"), failures.errors_of("test_unpicklable")
    assert errors[0].startswith("isoclient.ObjectNotSendable: ['app'] -> .lock: cannot pickle '_thread.lock' object; ")
    assert 'TestClient("package.module:app")' in errors[1]
    assert len(text.strip().splitlines()) < 8


# -- warnings about a client


def test_a_warning_points_at_the_client_and_names_the_thread(failures: Failures) -> None:
    text = "did not end when it was asked to, and was ended by force: it waits for the thread 'mailer'."
    place = r"::test_warning_of_a_thread\n *\S+test_shop\.py:(\d+)"
    found = re.search(rf"{place}: RuntimeWarning: the app \(pid \d+\) {text}", failures.warnings)
    assert found is not None, failures.warnings
    assert (SUITE / "test_shop.py").read_text().splitlines()[int(found[1]) - 1].endswith("  # here")


def test_a_warning_in_process_names_no_process(failures: Failures) -> None:
    where = at("time.sleep(60)  # instead of an end", "app_that_clings")
    text = f"did not end when it was asked to, and goes on in a thread of this process: it is at {where}."
    place = r"::test_warning_in_process\n *\S+test_shop\.py:(\d+)"
    found = re.search(rf"{place}: RuntimeWarning: the app {text}", failures.warnings)
    assert found is not None, failures.warnings
    assert (SUITE / "test_shop.py").read_text().splitlines()[int(found[1]) - 1].endswith("  # and here")
