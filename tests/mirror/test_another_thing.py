"""Another mirrored thing is a class and a line in the list: it goes to the app, whole and in part, and comes back."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isoclient.mirror.mirrors import MIRRORED
from isoclient.mirror.run import run
from isoclient.process.launch import fork_server
from tests.conftest import Cell, MakeClient, Receive, Scope, Send

TOWNS = """
from isoclient.mirror.mirrored import Mirrored

town = "nowhere"
heard = []

class Town(Mirrored):
    def first(self, *, fresh):
        self._told = town
        return town, fresh

    def notice(self):
        if town != self._told:
            self._told = town
            return town

    def replay(self, payload):
        heard.append(payload.decode())

    def begin(self, first, reporter):
        self._reporter = reporter
        there, fresh = first
        self._say(f"{there} ({'fresh' if fresh else 'forked'})")
        self.apply(there)

    def apply(self, difference):
        global town
        town = difference
        self._say(f"in {town}")

    def app_is_loaded(self):
        self._say("loaded")

    def _say(self, what):
        self._reporter.tell(what.encode())
"""
LINE = "import towns; from isoclient.mirror.mirrors import MIRRORED; MIRRORED['town'] = towns.Town\n"


@pytest.fixture
def towns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the thing, which is in the list in this process, and in each interpreter that is started by it."""
    (tmp_path / "towns.py").write_text(TOWNS)
    (tmp_path / "sitecustomize.py").write_text(LINE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("towns")
    monkeypatch.setitem(MIRRORED, "town", module.Town)
    fork_server.end()  # another one begins with the line
    yield module
    fork_server.end()
    del sys.modules["towns"]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": sys.modules["towns"].town.encode()})


@pytest.mark.backends("asyncio")
@pytest.mark.modes("fork", "forkserver", "spawn", "thread")
def test_it_crosses(make_client: MakeClient, cell: Cell, towns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "epoch", 0)
    towns.town = "Rome"
    client = make_client(app)
    assert client.get("/").text == "Rome"
    towns.town = "Oslo"
    run.epoch += 1  # the sign by which a change is looked for
    assert client.get("/").text == "Oslo"
    client.close()
    in_a_process = [f"Rome ({'fresh' if cell.is_fresh else 'forked'})", "in Rome", "loaded", "in Oslo"]
    assert towns.heard == (in_a_process if cell.isolated else [])
