"""Debuggers in tests that run together with their apps: the terminal is theirs, and so is the time."""

from __future__ import annotations

from pathlib import Path

from tests.debugging.session import StartPytest

SUITE = """
def test_stops():
    price = 41
    breakpoint()
    assert price == 42

def test_fails():
    stock = ["pear"]
    assert stock == []

def test_next(): ...
"""


def test_breakpoints_and_post_mortem(start_pytest: StartPytest, tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nisoclient_test_timeout = 1\n")
    with start_pytest("--isolated=together", "--pdb", cwd=tmp_path) as session:
        session.prompt()
        session.type("!import time; time.sleep(2)")  # longer than the limit, which is none now
        session.prompt()
        assert "42" in session.ask("price + 1")
        session.ask("price = 42")
        session.type("continue")
        session.prompt()
        assert "['pear']" in session.ask("stock")
        session.type("continue")
        code, text = session.end()
    assert "1 failed, 2 passed" in text
    assert code == 1


def test_a_prompt_that_is_left(start_pytest: StartPytest, tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(SUITE)
    with start_pytest("--isolated=together", cwd=tmp_path) as session:
        session.prompt()
        session.interrupt_prompt()  # there, it is the debugger's
        session.type("quit")
        code, text = session.end()
    assert "Exit: Quitting debugger" in text
    assert "no tests ran" in text
    assert code == 2
