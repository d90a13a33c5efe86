"""What a run carries over to its apps beside what is known: what the user names, and what pytest-mock patches."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

BAZAAR = """
from types import SimpleNamespace

FLAGS = {"open": False}
LEVEL = 1

def haggle(price):
    return price

class App:
    def __init__(self):
        self.config = {"name": "bazaar"}
        self.state = SimpleNamespace()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        found = FLAGS["open"], LEVEL, self.config["name"], haggle(5)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(found).encode()})

app = App()
"""

TESTS = """
    import pytest
    import bazaar
    from isoclient import TestClient

    @pytest.fixture(scope="module")
    def client():
        with TestClient(bazaar.app) as client:
            yield client

    def test_by_hand(client):
        assert client.get("/").text == "(False, 1, 'bazaar', 5)"
        bazaar.FLAGS["open"] = True
        bazaar.LEVEL = 2
        bazaar.app.config = {"name": "market"}
        assert client.get("/").text == "(True, 2, 'market', 5)"
        bazaar.FLAGS["open"] = False
        bazaar.LEVEL = 1
        bazaar.app.config["name"] = "bazaar"

    def test_by_pytest_mock(client, mocker):
        mocker.patch("bazaar.haggle", return_value=4)
        mocker.patch.dict("bazaar.FLAGS", open=True)
        assert client.get("/").text == "(True, 1, 'bazaar', 4)"
        bazaar.haggle.assert_called_once_with(5)

    def test_it_is_undone(client):
        assert client.get("/").text == "(False, 1, 'bazaar', 5)"
"""
NAMED = """
isoclient_mirrored =
    bazaar:FLAGS
    bazaar:LEVEL
    .config
"""


@pytest.mark.parametrize("options", [(), ("--isolated",), ("--isolated", "--isolated-start-method=spawn")])
def test_what_is_named(suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(bazaar=BAZAAR)
    suite(TESTS, *options, ini=NAMED).assert_outcomes(passed=3)


@pytest.mark.parametrize("line", ["bazaar", "bazaar.FLAGS", "bazaar:", ".", "bazaar:FLAGS['open']"])
def test_what_names_nothing(suite: Suite, line: str) -> None:
    result = suite("def test_nothing(): pass", ini=f"isoclient_mirrored = {line}")
    result.stderr.fnmatch_lines(["*isoclient_mirrored: * is neither package.module:attribute nor .attribute*"])


def test_without_the_plugin(suite: Suite, pytester: pytest.Pytester) -> None:
    """What is changed before the first client is there is noted all the same."""
    pytester.makepyfile(bazaar=BAZAAR)
    source = """
        from unittest import mock
        import bazaar
        from isoclient import TestClient

        def test_patches(monkeypatch):
            patcher = mock.patch("bazaar.LEVEL", 3)
            patcher.start()
            monkeypatch.setattr(bazaar, "haggle", str)
            with TestClient(bazaar.app, isolated=True, lifespan="off") as client:
                assert client.get("/").text == "(False, 3, 'bazaar', '5')"
                patcher.stop()
                monkeypatch.undo()
                assert client.get("/").text == "(False, 1, 'bazaar', 5)"
    """
    suite(source, "-pno:isoclient").assert_outcomes(passed=1)


@pytest.mark.parametrize("options", [("--isolated",), ("--isolated=client",)])
def test_other_clients(suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(bazaar=BAZAAR)
    source = """
        import asyncio
        import threading
        import httpx
        import pytest
        import bazaar
        from isoclient import IsolationWarning, isolate

        async def ask(client):
            return (await client.get("/")).text

        async def look(app, monkeypatch):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                assert await ask(client) == "(False, 1, 'bazaar', 5)"
                with monkeypatch.context() as patch:
                    patch.setattr(bazaar, "haggle", lambda price: price - 1)
                    patch.setitem(bazaar.FLAGS, "open", True)
                    assert await ask(client) == "(True, 1, 'bazaar', 4)"
                    patch.setattr(bazaar, "haggle", threading.Lock())
                    with pytest.warns(IsolationWarning, match="bazaar.haggle"):
                        await ask(client)
                assert await ask(client) == "(False, 1, 'bazaar', 5)"

        def test_httpx(monkeypatch):
            asyncio.run(look(bazaar.app, monkeypatch))

        def test_isolate(monkeypatch):
            asyncio.run(look(isolate(bazaar.app), monkeypatch))
    """
    suite(source, *options).assert_outcomes(passed=2)
