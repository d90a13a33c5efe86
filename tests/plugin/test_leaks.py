"""``--isoclient-leaks``: what tests leave behind, by line, at the end of a run."""

from __future__ import annotations

import json
import queue
import textwrap
from collections.abc import Callable

import pytest

from isoclient import Leak
from isoclient.plugin.leak_rules import Rules, parse_rule

Suite = Callable[..., pytest.RunResult]

SHOP = """
import os
import threading

sent = []

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/thread":
        threading.Thread(target=threading.Event().wait, args=(60,), name="mailer", daemon=True).start()
    elif scope["path"] == "/send":
        sent.append("a receipt")
    elif scope["path"] == "/crash":
        os.abort()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"done"})
"""

TESTS = """
import pytest
import starlette.testclient

import leaky_shop
from isoclient import TestClient

client = TestClient(leaky_shop.app)
other = starlette.testclient.TestClient(leaky_shop.app)

@pytest.fixture(scope="module")
def opened():
    with open(__file__):
        yield

def test_clean():
    assert client.get("/").text == other.get("/").text == "done"

def test_thread():
    client.get("/thread")

def test_thread_of_the_other():
    other.get("/thread")

def test_sent(opened):
    client.get("/send")
"""

# Of two workers, either may be the first.
LEFT = [
    "leaky_shop.py:10 starts thread 'mailer', *, left behind by 2 tests, first test_suite.py::test_thread*",
    "leaky_shop.py:4 changes leaky_shop.sent: 1 item (was 0), left behind by test_suite.py::test_sent",
]


@pytest.mark.parametrize("how", ["--isolated", "--isolated=client", "--isolated=together"])
def test_what_is_left_is_told_by_line(suite: Suite, pytester: pytest.Pytester, how: str) -> None:
    pytester.makepyfile(leaky_shop=SHOP)
    result = suite(TESTS, how, "--isoclient-leaks-json=leaks.json")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*isoclient: left behind*", *LEFT])
    told = json.loads((pytester.path / "leaks.json").read_text())
    assert (told["tests"], told["unknown"]) == (4, [])
    assert [(leak["kind"], leak["where"], len(leak["tests"])) for leak in told["leaks"]] == [
        ("thread", "leaky_shop.py:10", 2),
        ("global", "leaky_shop.py:4", 1),
    ]


def test_the_file_is_where_it_was_named_wherever_a_test_has_gone(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite("import os\ndef test_a(): os.chdir('/')", "--isolated", "--isoclient-leaks-json=made/leaks.json")
    result.assert_outcomes(passed=1)
    assert json.loads((pytester.path / "made/leaks.json").read_text())["leaks"] == []


def test_a_file_that_cannot_be_written_is_told_before_any_test_runs(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makefile(".txt", file="")
    result = suite("def test_a(): pass", "--isolated", "--isoclient-leaks-json=file.txt/leaks.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --isoclient-leaks-json=file.txt/leaks.json: *file.txt*"])


def test_who_leaks_may_fail_in_each_worker_but_not_for_what_is_accepted(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(leaky_shop=SHOP)
    pytester.makeini("""
        [pytest]
        isoclient_leaks = fail
        isoclient_leaks_accepted =
            global: leaky_shop.sent*
            thread: elsewhere.py:*
    """)
    result = suite(TESTS + "\ndef test_crash():\n    client.get('/crash')\n", "--isolated", "-n1")
    result.assert_outcomes(passed=4, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_thread*",
            "this test has left behind:",
            "  leaky_shop.py:10 starts thread 'mailer', *",
            "  thread: leaky_shop.py:[*]",
            "leaky_shop.py:10 starts thread 'mailer', *, left behind by 2 tests, first test_suite.py::test_thread*",
            "A process has died, or did not answer, and what was left in it is not known: test_suite.py::test_crash",
        ]
    )
    assert "leaky_shop.sent" not in result.stdout.str()


def test_what_fixtures_of_a_wider_scope_make_is_their_own(suite: Suite) -> None:
    source = """
        import threading
        import pytest

        def start(name):
            threading.Thread(target=threading.Event().wait, args=(60,), name=name, daemon=True).start()

        @pytest.fixture(scope="module")
        def first():
            start("wider")

        @pytest.fixture(scope="module")
        def second():
            yield start("wider, too")

        def test_one(first, request):
            start("before")
            request.getfixturevalue("second")
            start("behind")

        def test_two(first, second):
            pass
    """
    result = suite(source, "--isolated=together", "--isoclient-leaks=fail")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["this test has left behind:", "*starts thread 'before'*", "*starts thread 'behind'*"])
    assert "wider" not in result.stdout.str().partition("left behind:")[2]


def test_what_is_put_back_and_what_is_taken_away_is_no_leak(suite: Suite) -> None:
    source = """
        import random
        import sys

        def test_seeds_for_a_while():
            state = random.getstate()
            random.seed(1)
            random.setstate(state)

        def test_takes_away():
            import decimal
            del sys.modules["decimal"]
    """
    result = suite("import decimal\n" + textwrap.dedent(source), "--isolated=together", "--isoclient-leaks=fail")
    result.assert_outcomes(passed=2, errors=1)  # for it is an entry of sys.modules that is gone
    assert "changes sys.modules: decimal removed" in result.stdout.str()
    assert "random" not in result.stdout.str()


def test_one_that_ends_its_process_and_one_that_fails_in_what_is_noticed(suite: Suite) -> None:
    source = "import os\ndef test_a(): os.chdir('nowhere')\ndef test_dies(): os._exit(3)"
    result = suite(source, "--isolated=together", "--isoclient-leaks=report")
    result.assert_outcomes(failed=2)
    assert "noticing.py" not in result.stdout.str()  # which chdir has gone through
    result.stdout.fnmatch_lines(
        [
            "*isoclient: left behind*",
            "A process has died, or did not answer, and what was left in it is not known: test_suite.py::test_dies",
        ]
    )


def test_only_collecting_tells_of_no_leaks(suite: Suite) -> None:
    result = suite("def test_a(): pass", "--isolated", "--isoclient-leaks=report", "--collect-only")
    assert "left behind" not in result.stdout.str()


def test_a_run_that_isolates_nothing_says_so(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(leaky_shop=SHOP)
    result = suite(TESTS, "--isoclient-leaks=report")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["No app of these tests has run in a process of its own, *--isolated*"])


@pytest.mark.parametrize(
    ("line", "accepts"),
    [
        ("thread: shop/mail.py:*", True),
        ("thread: 'mailer'*", True),
        ("*: shop/*", True),
        ("task: *", False),
        ("thread: mail.py:*", False),
    ],
)
def test_a_rule_is_a_kind_and_a_pattern(line: str, accepts: bool) -> None:
    leak = Leak("thread", "'mailer'", "/srv/project/shop/mail.py:41")
    assert Rules([line], "/srv/project").apply([leak]) == (
        [] if accepts else [Leak("thread", "'mailer'", "shop/mail.py:41")]
    )


def test_the_line_of_what_is_installed_is_the_same_everywhere() -> None:
    installed = Leak("thread", "'worker'", "/venv/lib/python3.11/site-packages/pool/work.py:7")
    of_python = Leak("task", "'Task-1'", f"{queue.__file__}:7")
    shown = Rules([], "/srv").apply([installed, installed, of_python])
    assert [each.where for each in shown] == ["pool/work.py:7", "queue.py:7"]


@pytest.mark.parametrize("line", ["thread", "thread:", "threads: *"])
def test_other_rules_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"kind"):
        parse_rule(line)
