"""An app in a module of its own, for tests of where it is imported."""

from __future__ import annotations

import textwrap
from itertools import count
from pathlib import Path

import pytest

from isoclient import TestClient

PLAIN = """
import os
IMPORTER = os.getpid()
served = 0

async def app(scope, receive, send):
    global served
    if scope["type"] == "lifespan":
        return
    served += 1
    found = eval((await receive())["body"])
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr(found).encode()})
"""
LONG = 10.0
numbers = count(1)


class Module:
    """A module of an app on the path, under a name of its own."""

    def __init__(self, directory: Path) -> None:
        self.name = f"shop_to_import_{next(numbers)}"
        self.path = directory / f"{self.name}.py"

    def write(self, source: str = "") -> None:
        self.path.write_text(PLAIN + textwrap.dedent(source))

    def client(self, **options: object) -> TestClient:
        return TestClient(f"{self.name}:app", isolated=True, timeout=30.0, **options)  # type: ignore[arg-type]

    def ask(self, expression: str = "served", **options: object) -> object:
        """What an expression comes to in a fresh process of the app, and that process."""
        with self.client(**options) as client:
            return ask(client, expression)

    def is_imported_once(self, **options: object) -> bool:
        """Whether the third client has an app that the second, or the first, has imported."""
        return [self.ask("IMPORTER == os.getpid()", **options) for _ in range(3)][1:] == [False, False]


def ask(client: TestClient, expression: str) -> object:
    return eval(client.post("/", data=expression).text)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = Module(tmp_path)
    module.write()
    return module
