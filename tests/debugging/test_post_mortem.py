"""``pytest --pdb`` and ``--showlocals`` on an exception of an isolated app: its frames, with their locals as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.debugging.session import RunPytest, StartPytest

TEST = """
import pytest
from isoclient import TestClient


class Order:
    def __repr__(self):
        return "<Order 7>"


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")


def charge(order, items, rate):
    # A comment,
    # and another one, so that the failing line is not the first one.
    total = sum(items.values())
    hostile = Hostile()
    return total / rate


async def app(scope, receive, send):
    user = "ann"
    many = [*range(30)]
    nested = {"a": (1, 2.5), "b": [None, True], "c": {b"x"}}
    text = "t" * 500
    charge(Order(), {"tea": 3, "bun": 4}, rate=0)


@pytest.mark.parametrize("isolated", [True, False])
def test_charge(isolated):
    client = TestClient(app, isolated=isolated)
    try:
        client.get("/")
    finally:
        client.close()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_shop.py").write_text(TEST)
    return tmp_path


def test_the_frames_of_the_app_can_be_walked(start_pytest: StartPytest, project: Path) -> None:
    with start_pytest("--pdb", "-k", "True", cwd=project) as session:
        session.prompt()
        assert "->     return total / rate" in session.ask("list").replace("\t", " ")
        assert "\n7\n" in session.ask("p total")
        assert "\n<Order 7>\n" in session.ask("p order")
        assert "\n['bun', 'tea']\n" in session.ask("p sorted(items)")
        assert "-> charge(Order()" in session.ask("up")
        assert "\n'ann'\n" in session.ask("p user")
        assert "->     charge(Order()" in session.ask("longlist").replace("\t", " ")
        assert "-> client.get" in [session.ask("up") for _ in range(3)][-1]
        assert "test_shop.py(21)charge()" in session.ask("where")
        session.type("quit")
        code, text = session.end()

    assert code == 2, text


def test_showlocals_shows_the_same_as_in_process(run_pytest: RunPytest, project: Path) -> None:
    code, text = run_pytest(project, "--showlocals")

    assert code == 1
    isolated, in_process = re.split(r"_+ test_charge\[False\] _+", text)
    assert locals_from(": in app", isolated) == locals_from(": in app", in_process)
    assert "order      = <Order 7>" in isolated
    assert "hostile    = <test_shop.Hostile object: repr() raised RuntimeError>" in isolated


def locals_from(place: str, text: str) -> list[str]:
    """The lines that show locals, from there on, without what differs between two objects."""
    lines = text[text.index(place) :].splitlines()
    shown = [line for line in lines if (found := re.match(r" *(\w+ *) = ", line)) and len(found[1]) == 10]
    return [re.sub(r"0x[0-9a-f]+", "0x", line) for line in shown if "Hostile" not in line]
