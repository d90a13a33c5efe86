"""Under ``--isolated``, the apps of clients that others have written run in a process of their own as well."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from textwrap import dedent

import pytest

from isoclient.plugin.clients import CLIENTS, ClientClass, Clients, parse

Suite = Callable[..., pytest.RunResult]
QUIET = "-Wignore"

# What each of them does to ask an app for its process, on both kinds of event loop where it can.
ASKING = {
    "starlette": """
        from starlette.testclient import TestClient

        def ask(app):
            client = TestClient(app)
            assert client.app is app
            return client.get("/").text
    """,
    "starlette_on_trio_within": """
        from starlette.testclient import TestClient

        def ask(app):
            with TestClient(app, backend="trio") as client:
                return client.get("/").text
    """,
    "httpx": """
        import asyncio, httpx

        def ask(app):
            async def main():
                transport = httpx.ASGITransport(app)
                assert transport.app is app
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    return (await client.get("/")).text

            return asyncio.run(main())
    """,
    "httpx_on_trio": """
        import httpx, trio

        def ask(app):
            async def main():
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
                    return (await client.get("/")).text

            return trio.run(main)
    """,
    "httpx2": """
        import asyncio, httpx2

        def ask(app):
            async def main():
                async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
                    return (await client.get("/")).text

            return asyncio.run(main())
    """,
    "litestar": """
        from litestar.testing import TestClient

        def ask(app):
            with TestClient(app, base_url="http://test.local") as client:
                return client.get("/").text
    """,
    "litestar_async": """
        import asyncio
        from litestar.testing import AsyncTestClient

        def ask(app):
            async def main():
                async with AsyncTestClient(app, base_url="http://test.local") as client:
                    return (await client.get("/")).text

            return asyncio.run(main())
    """,
    "async_asgi_testclient": """
        import asyncio
        from async_asgi_testclient import TestClient

        def ask(app):
            async def main():
                async with TestClient(app) as client:
                    return (await client.get("/")).text

            return asyncio.run(main())
    """,
}

SUITE = """
import os
from living import app

at_import = ask(app)

def test_elsewhere():
    assert os.getpid() not in (int(at_import), int(ask(app)))

def test_in_process():
    assert int(ask(app)) == os.getpid()
"""


@pytest.fixture(params=ASKING)
def source(request: pytest.FixtureRequest) -> str:
    """A suite for each of the clients."""
    module = request.param.split("_on_")[0].removesuffix("_async")
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    return "\n".join(line[8:] for line in ASKING[request.param].splitlines()) + SUITE


def test_clients(suite: Suite, source: str) -> None:
    suite(source, "--isolated", "-k", "elsewhere", QUIET, fresh=True).assert_outcomes(passed=1, deselected=1)


@pytest.mark.rest  # of all that is told here, this would be noticed first
def test_clients_without_the_flag(suite: Suite, source: str) -> None:
    suite(source, "-k", "in_process", QUIET, fresh=True).assert_outcomes(passed=1, deselected=1)


STARLETTE = """
    import os
    import pytest
    from starlette.testclient import TestClient
    from shop import app, seen

"""


def test_a_test_may_say_no(suite: Suite) -> None:
    source = """
        client = TestClient(app)

        def test_elsewhere():
            assert client.get("/").text != str(os.getpid())

        @pytest.mark.isolated(False)
        def test_here():
            assert client.get("/").text == str(os.getpid())

        def test_elsewhere_again():
            assert client.get("/").text != str(os.getpid())
    """
    suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET).assert_outcomes(passed=3)


@pytest.mark.parametrize("how", ["False", "'request'"])
def test_an_app_stays_where_its_lifespan_runs(suite: Suite, how: str) -> None:
    source = """
        from contextlib import asynccontextmanager
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        HERE = os.getpid()

        @asynccontextmanager
        async def lifespan(app):
            yield {"pid": os.getpid()}

        async def is_there(request):
            return PlainTextResponse(str(request.state.pid == os.getpid() != HERE))

        app = Starlette(routes=[Route("/", is_there)], lifespan=lifespan)

        @pytest.fixture(scope="module")
        def client():
            with TestClient(app) as client:
                yield client

        def test_before(client):
            assert client.get("/").text == "True"

        @pytest.mark.isolated(HOW)
        def test_there_still(client):
            assert client.get("/").text == "True"

        def test_after(client):
            assert client.get("/").text == "True"
    """.replace("HOW", how)
    suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET).assert_outcomes(passed=3)


def test_nothing_is_imported_on_the_event_loop_of_a_test(suite: Suite) -> None:
    """There are those who forbid what blocks there, such as to ask for the current directory, as an import may do."""
    source = """
        import asyncio, os
        import httpx, pytest
        from shop import app

        def test(monkeypatch):
            async def main():
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    return (await client.get("/")).text

            def refuse():
                raise AssertionError("it blocks")

            with monkeypatch.context() as patch:
                patch.setattr(os, "getcwd", refuse)
                pid = asyncio.run(main())
            assert int(pid) != os.getpid()
    """
    suite(source, "--isolated", QUIET, fresh=True).assert_outcomes(passed=1)


def test_an_isolated_app_is_not_isolated_again(suite: Suite) -> None:
    source = """
        from isoclient import isolate

        def test_once():
            with isolate(app) as isolated:
                client = TestClient(isolated)
                assert client.app is isolated
                assert client.get("/").text == str(isolated.pid)
    """
    suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET).assert_outcomes(passed=1)


def test_nor_by_a_client_of_ours(suite: Suite) -> None:
    source = """
        import os
        import pytest
        from isoclient import TestClient, isolate
        from shop import app

        def test_once():
            with isolate(app) as isolated:
                assert TestClient(isolated).get("/").text == str(isolated.pid) != str(os.getpid())
                with pytest.raises(ValueError, match="already, so that isolated=True can't be: leave it out"):
                    TestClient(isolated, isolated=True)
    """
    suite(source, "--isolated").assert_outcomes(passed=1)


def test_clients_of_one_app_share_its_process(suite: Suite) -> None:
    source = """
        def test_shared():
            assert TestClient(app).get("/").text == TestClient(app).get("/").text != str(os.getpid())
    """
    suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET).assert_outcomes(passed=1)


def test_an_app_ends_with_the_test_that_has_made_its_client(suite: Suite) -> None:
    source = """
        ended = []

        def test_one():
            ended.append(int(TestClient(app).get("/").text))

        def test_two():
            from ended import has_ended
            assert all(map(has_ended, ended))
    """
    suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET).assert_outcomes(passed=2)


def test_a_crash_fails_the_test_alone_and_is_told(suite: Suite) -> None:
    source = """
        client = TestClient(app)

        def test_crash():
            client.get("/segv")

        def test_after_it():
            assert client.get("/").text != str(os.getpid())
    """
    result = suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E*AppCrashed: *SIGSEGV*while handling GET /segv*", "*- isoclient: shop:app (pid *) -*"]
    )


def test_a_subclass_finds_the_app_that_it_has_given(suite: Suite) -> None:
    source = """
        class Client(TestClient):
            def first(self):
                return self.app

        def test_app():
            client = Client(app)
            assert client.first() is app
            client.app = other = lambda scope: None
            assert client.app is other
            del client.app
            assert not hasattr(client, "app")
    """
    suite(dedent(STARLETTE) + dedent(source), "--isolated", QUIET).assert_outcomes(passed=1)


OWN = """
import asyncio

class Client:
    def __init__(self, app):
        self.asgi = app

    def pid(self):
        sent = []
        async def receive():
            return {"type": "http.request"}
        async def send(message):
            sent.append(message)
        asyncio.run(self.asgi({"type": "http", "method": "GET", "path": "/"}, receive, send))
        return int(sent[1]["body"])
"""


def test_a_client_of_the_projects_own(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(own_client=OWN)
    source = """
        import os
        from own_client import Client
        from shop import app

        def test_it():
            client = Client(app)
            assert client.asgi is app
            assert client.pid() != os.getpid()
    """
    ini = "isoclient_clients = own_client:Client asgi"
    suite(source, "--isolated", ini=ini).assert_outcomes(passed=1)


def test_nonsense_in_the_setting_is_told(suite: Suite) -> None:
    result = suite("def test_it(): pass", "--isolated", ini="isoclient_clients = own_client Client")
    result.stderr.fnmatch_lines(
        ["ERROR: isoclient_clients: 'own_client Client' is not of the form package.module:Class attribute"]
    )


def test_a_module_that_warns_of_itself_means_whoever_imports_it(suite: Suite, pytester: pytest.Pytester) -> None:
    warning = "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)\n"
    pytester.makepyfile(own_client=warning + OWN)
    source = """
        def test_it():
            import own_client
    """
    result = suite(source, "--isolated", "-Wdefault", ini="isoclient_clients = own_client:Client asgi", fresh=True)
    result.stdout.fnmatch_lines(["*test_suite.py:2: DeprecationWarning: old"])


def test_what_was_there_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine:
        kept = "of the class"

        def __init__(self, app: object) -> None:
            self.app = self.kept = app  # type: ignore[assignment]

    monkeypatch.setitem(globals(), "Mine", Mine)
    classes = ClientClass(__name__, "Mine", "app"), ClientClass(__name__, "Mine", "kept")
    with Clients(classes, lambda client: None).isolated():
        client = Mine(print)
        assert Mine.kept != "of the class"
    assert Mine.kept == "of the class"
    assert client.app is print


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_those_that_are_known_are_there(client: ClientClass) -> None:
    module = pytest.importorskip(client.module)
    assert isinstance(getattr(module, client.name), type)


@pytest.mark.parametrize("line", ["", "module:Class", "module Class app", ":Class app", "module:Class an attribute"])
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form package\.module:Class attribute"):
        parse(line)
